"""Figures of a machine's page, a file for each kind: from frames and records to matplotlib, and to bytes."""
