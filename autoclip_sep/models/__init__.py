"""Networks that turn a batch of mixtures into an estimate of their sources."""
