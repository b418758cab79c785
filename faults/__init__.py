"""Faults at full length: minutes, so that `make test-faults` alone runs them, not `make test`."""
