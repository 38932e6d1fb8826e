"""The commands of `python -m fmnist_zoo`, one per file: they format what the library computes."""
