"""`python -m benchmarks.worker_cost`: an older name of `python -m benchmarks.selfcheck --what worker-cost`."""

from __future__ import annotations

import sys

from benchmarks.selfcheck.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main(["--what", "worker-cost", *sys.argv[1:]]))
