"""`python -m benchmarks.run`: train, measure, and write the tables.

Exit code: 0 when every run is ok, 1 when one is not, 2 for wrong arguments, 130 after Ctrl-C.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

import tyro

from benchmarks.config import RunConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = tyro.cli(RunConfig, args=arguments, prog="python -m benchmarks.run")
    # Only from here on: torch is slow to import, and neither --help nor a mistyped option needs it.
    from benchmarks.listing import model_table
    from fmnist_zoo.data import DataError

    try:
        if options.list:
            print(model_table(options))
            return 0
        return _sweep(options, shlex.join(["python", "-m", "benchmarks.run", *arguments]))
    except (ValueError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _sweep(options: RunConfig, command: str) -> int:
    from benchmarks.display import make_display
    from benchmarks.listing import plan_table, summary
    from benchmarks.plan import make_plan
    from benchmarks.runner import Place, Runner
    from fmnist_zoo.data import load_dataset

    plan = make_plan(options)
    # Fetched here, with a progress bar; the workers then find it in the cache.
    dataset = load_dataset(options.dataset, root=options.data_dir)
    if options.dry_run:
        print(plan_table(plan, dataset))
        return 0
    place = Place(
        out=options.out, data_dir=options.data_dir, save_weights=options.save_weights, plugins=options.plugin, command=command
    )
    display = make_display(len(plan.variants) * len(plan.seeds))
    runner = Runner(plan, place, display)
    try:
        with display:
            records = runner.run()
    except KeyboardInterrupt:
        print(f"stopped; the runs that were finished are in {runner.store.runs_dir.parent}", file=sys.stderr)
        return 130
    display.say(summary(records, place.out / runner.machine))
    return 0 if all(record.status == "ok" for record in records) else 1


if __name__ == "__main__":
    raise SystemExit(main())
