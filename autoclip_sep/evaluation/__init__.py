"""Separates whole mixtures and scores the estimates."""
