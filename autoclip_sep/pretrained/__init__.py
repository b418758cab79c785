"""Trained networks to load and to carry away."""
