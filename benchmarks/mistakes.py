"""`python -m benchmarks.mistakes` runs `benchmarks.report.mistakes`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("benchmarks.report.mistakes", run_name="__main__", alter_sys=True)
