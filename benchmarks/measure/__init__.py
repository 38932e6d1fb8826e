"""Measurements, one quantity per file, and what may disturb them."""
