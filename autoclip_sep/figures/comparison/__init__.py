"""A run beside others of its settings: where it leaves their range."""
