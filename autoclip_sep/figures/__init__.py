"""Records to pictures and tables. Knows nothing of how the records were made."""
