"""The A/A check: the same arm against itself, to learn how often the suite finds a difference where there is none."""
