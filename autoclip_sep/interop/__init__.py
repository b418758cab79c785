"""Thin adapters to other libraries. Each is imported by name and guards what it needs."""
