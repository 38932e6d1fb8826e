"""The commands of `python -m fmnist_zoo`, one a file: what they print, from functions that the library has."""
