"""The training loop: resume, validation, schedules, records, loggers, several processes."""
