"""Grids of runs: which there are, as jobs, and where those run: here or on a cluster."""
