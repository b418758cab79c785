"""Configs to objects: the files in configs/, and the classes that a config may name."""
