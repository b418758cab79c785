"""What clippers do: thresholds, shares clipped, step sizes, and what each gains."""
