"""`python -m benchmarks.tune`: the same number of trials for every model, and the values to put into the registry."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from benchmarks.tune.config import TuneConfig
from fmnist_zoo.cli.parse import INTERRUPTED, parse

NO_OPTUNA = "tuning needs Optuna, from the extra `tune`: run pip install -e '.[tune]' in the checkout"

EXAMPLES = ("--models all --trials 8", "--models my_net --plugin my_net.py --optimizer adamw")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parsed = parse(TuneConfig, arguments, "benchmarks.tune", examples=EXAMPLES)
    if importlib.util.find_spec("optuna") is None:
        print(f"error: {NO_OPTUNA}", file=sys.stderr)
        return 2
    from benchmarks.tune.tune import tune  # torch and Optuna load after the arguments are understood
    from fmnist_zoo.data import DataError

    try:
        return tune(parsed.options, parsed.command)
    except (ValueError, DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())
