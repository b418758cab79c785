"""Separates whole utterances and scores them."""
