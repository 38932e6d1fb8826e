"""Processes that do what they are asked, and end with everything that they have started."""
