"""Intervals, tests and verdicts: significant differences between models, and the seeds needed to find them.

Numbers in, numbers out: nothing here knows records, files or torch.
"""
