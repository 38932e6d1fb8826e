"""A page with the time breakdown of a training step."""
