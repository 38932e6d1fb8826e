"""A disk that is full, for as long as a test wants it to be."""

import resource
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def room_for(size_bytes: int) -> Generator[None, None, None]:
    """No file can grow beyond that size meanwhile, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
