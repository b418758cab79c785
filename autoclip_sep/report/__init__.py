"""report.html: what there is to know of a run, or of two groups of runs, on one page."""
