"""The regression gate: significant losses between two sets of records."""
