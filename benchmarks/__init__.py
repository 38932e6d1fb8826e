"""The measuring: runs architectures of `fmnist_zoo`, keeps a record of each run, and makes tables from the records."""
