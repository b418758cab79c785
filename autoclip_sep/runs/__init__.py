"""A run on disk: its directory, config, checkpoints, records and provenance."""
