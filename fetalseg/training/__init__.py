"""Training: which anchor learns what, the losses, and the loop. Needs the extra `train`."""
