"""Where the time of a training step went, as a page."""
