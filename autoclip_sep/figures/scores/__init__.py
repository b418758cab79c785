"""Tables of runs: scores, and correlations of their records."""
