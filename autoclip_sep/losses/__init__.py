"""One loss per file: the equation as a function of tensors, and the objective that trains with it.

The functions have no channel axis. An objective is called with an `Estimate` and a `Batch`, folds
the channels into the batch, and returns one loss per example, (B,).
"""
