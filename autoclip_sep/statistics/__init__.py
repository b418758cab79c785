"""Intervals of mean scores, and of differences between systems, over seeds and items."""
