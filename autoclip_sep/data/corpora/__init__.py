"""The corpora, one a file."""
