"""Files that other processes may read and write at the same time."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

TEMPORARY = ".tmp"
"""How the name of a file that is being written ends; it also begins with a dot."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either wholly there or not at all, also after a power cut.

    Makes the folder where it is missing. Readers and other writers never see a part of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{secrets.token_hex(8)}{TEMPORARY}"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # only there a folder can be opened to be flushed
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
