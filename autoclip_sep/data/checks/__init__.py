"""Statistics of a corpus, and what may be wrong with it."""
