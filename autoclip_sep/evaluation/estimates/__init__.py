"""Anybody's estimates: files beside files of references, scored as those of a network."""
