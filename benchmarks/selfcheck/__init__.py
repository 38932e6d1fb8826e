"""The A/A check: the same arm against itself, to measure the false-difference rate and the noise floor."""
