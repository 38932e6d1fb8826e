"""Figures of a machine's page, one module per kind: frames and records to matplotlib figures and bytes."""
