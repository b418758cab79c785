"""Corpora, the store they are decoded into, and the batches read from it."""
