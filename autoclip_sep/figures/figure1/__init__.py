"""Figure 1 of the AutoClip paper, at the end of training and along it."""
