"""Execution of a plan: a worker process per variant, a record per run."""
