"""Mirrors of a run's record files; one logger a file."""
