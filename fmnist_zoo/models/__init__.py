"""The architectures, one family a file. Every module here is imported by the registry; importing registers its models."""
