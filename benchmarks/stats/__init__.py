"""Intervals, tests and what follows from them: which models differ, how sure that is, and what it would take to know.

Numbers in, numbers out: nothing here knows records, files or torch.
"""
