"""A run beside its references: where each recorded quantity leaves their range."""
