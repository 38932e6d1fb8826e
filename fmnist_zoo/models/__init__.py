"""The architectures, one family per file; the registry imports every module here, which registers its models."""
