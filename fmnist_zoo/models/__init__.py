"""The architectures, one family a file: the registry imports every module here, and importing registers its models."""
