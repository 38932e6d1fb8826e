"""Repeats all measurements of the committed tables on this machine."""
