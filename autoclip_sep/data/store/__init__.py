"""A corpus decoded once, for reading at memory-map speed."""
