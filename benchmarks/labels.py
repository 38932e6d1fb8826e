"""`python -m benchmarks.labels` runs `benchmarks.records.class_labels`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("benchmarks.records.class_labels", run_name="__main__", alter_sys=True)
