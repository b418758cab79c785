"""Metrics of an estimate against its reference."""
