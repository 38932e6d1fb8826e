"""`python -m benchmarks.determinism`: an older name of `python -m benchmarks.selfcheck --what determinism`."""

from __future__ import annotations

import sys

from benchmarks.selfcheck.__main__ import main

if __name__ == "__main__":
    asked = any(argument.partition("=")[0] == "--models" for argument in sys.argv)
    models = () if asked else ("--models", "all")  # its default
    raise SystemExit(main(["--what", "determinism", *models, *sys.argv[1:]]))
