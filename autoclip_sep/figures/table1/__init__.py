"""Table 1 of the AutoClip paper beside ours: numbers, text, picture."""
