"""Marks this folder as the package `tests`: nussl's wheel installs one of its own, which processes
that a test starts would otherwise import instead.
"""
