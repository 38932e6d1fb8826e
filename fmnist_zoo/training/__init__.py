"""Training: optimizers, numeric precision, one step, and the loop over epochs."""
