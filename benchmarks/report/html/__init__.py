"""A page to explore results in a browser: one file that holds all it needs and asks no network for anything."""
