"""A plan carried out: a worker process for each variant, a record for each run."""
