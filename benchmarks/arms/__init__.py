"""Precisions and engines side by side: one model and recipe, an arm for each combination, measured in turn."""
