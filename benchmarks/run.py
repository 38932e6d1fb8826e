"""`python -m benchmarks.run`: train, measure, and write the tables."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sweep.config import HELP_GROUPS, RunConfig
from fmnist_zoo.cli.output import say
from fmnist_zoo.cli.parse import INTERRUPTED, parse

if TYPE_CHECKING:
    from benchmarks.sweep.display import Display
    from benchmarks.sweep.plan import Plan


EXAMPLES = (
    "--models all --dry-run",
    "--models cnn timm/resnet18 --seeds 3",
    "--models mlp --optimizer sgd adam --lr 1e-2 1e-3",
    "--models cnn --precision fp32 bf16",
    "--models all --budget seconds:30 --resume",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parsed = parse(RunConfig, arguments, "benchmarks.run", examples=EXAMPLES, groups=HELP_GROUPS)
    options = parsed.options
    # Imported late: torch is slow, and neither --help nor a mistyped option needs it.
    from fmnist_zoo.data import DataError

    try:
        if options.json and (options.list or options.dry_run):
            raise ValueError("--json prints the events of a sweep; --list and --dry-run run none, so leave it out")
        if options.list:
            from fmnist_zoo.cli.config import ListConfig
            from fmnist_zoo.cli.listing import list_text

            names = () if options.models == RunConfig().models else options.models
            text, code = list_text(ListConfig(models=names, plugin=options.plugin))
            say(text)
            return code
        return sweep(options, parsed.command).exit_code
    except (ValueError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before the first run; later errors are handled where results are kept
        return INTERRUPTED


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Outcome of a sweep: exit code, whether every planned run is ok, and the machine's folder."""

    exit_code: int
    complete: bool
    machine: str | None


def sweep(
    options: RunConfig,
    command: str,
    *,
    since: str | None = None,
    deadline: float | None = None,
) -> Outcome:
    """Plan, run and report.

    Args:
        options: what to run.
        command: the command line, for the records.
        since: UTC, as in records; skip runs with the same run key that are ok since then.
        deadline: on `time.monotonic`; no run starts after it.
    """
    from benchmarks.sweep.display import make_display

    with make_display(quiet=options.quiet, json=options.json, live=not options.in_process) as display:
        return _sweep(options, command, display, since=since, deadline=deadline)


def _sweep(
    options: RunConfig,
    command: str,
    display: Display,
    *,
    since: str | None,
    deadline: float | None,
) -> Outcome:
    from benchmarks.sweep.resume import Done
    from benchmarks.sweep.run_once import Isolation
    from benchmarks.sweep.runner import Results, Runner

    isolation = Isolation(timeout_s=options.timeout, on_oom=options.on_oom, in_process=options.in_process)
    plan, dataset, estimates = _planned(options, display)
    if options.dry_run:
        from benchmarks.sweep.plan_table import plan_table

        say(plan_table(plan, estimates))
        failed = any("train_s" not in found for found in estimates)
        return Outcome(exit_code=int(failed), complete=False, machine=None)
    runner = Runner(plan, options, display, command=command, dataset=dataset, isolation=isolation)
    before = Done()
    if since is not None:
        before = runner.done_before(retry_failed=True, since=since)
    elif options.resumes:
        before = runner.done_before(retry_failed=options.retry_failed)
    try:
        results = runner.run(done=before, deadline=deadline)
    except OSError as error:
        display.warn(f"result not written: {error}; earlier results are intact")
        results = Results(all_in_place=False)
    if options.figures and results.records and not results.interrupted:
        results.tables_complete &= _drawn(display, options.out, runner.machine)
    good = {(record.config_key, record.seed) for record in results.records if record.status == "ok"}
    complete = all((variant.key, seed) in good for variant in plan.variants for seed in plan.seeds)
    complete = complete and results.comparisons_complete and not results.interrupted
    written = results.tables_complete and results.all_in_place
    exit_code = 0 if written and all(run.status == "ok" for run in results.records) else 1
    if results.interrupted:
        exit_code = INTERRUPTED
    display.sweep_finished(exit_code=exit_code, complete=complete)
    if results.interrupted:
        print(f"stopped; finished runs are in {runner.store.machine_dir}", file=sys.stderr)
    return Outcome(exit_code=exit_code, complete=complete, machine=runner.machine)


def _planned(options: RunConfig, display: Display) -> tuple[Plan, str, list[dict[str, Any]]]:
    """The plan, the data's checksum, and for a dry run the estimated time of each variant."""
    from benchmarks.sweep.plan import LIMIT_S, WORKLOAD, Planner
    from benchmarks.workers.client import Serving, Worker, serving
    from benchmarks.workers.slot import InProcess
    from fmnist_zoo.data import load_dataset

    def new_worker() -> Serving:
        return InProcess(WORKLOAD) if options.in_process else Worker(command=serving(WORKLOAD))

    limit_s = None if options.in_process else options.timeout or LIMIT_S
    with Planner(options, display, new_worker, limit_s=limit_s) as planner:
        plan = planner.expanded()
        # Downloaded here, with a progress bar, and cached for the workers.
        dataset = load_dataset(options.dataset, root=options.data_dir, progress=not options.quiet)
        plan = planner.with_precisions_tried(planner.tried(plan))
        return plan, dataset.checksum, list(planner.estimates(plan)) if options.dry_run else []


def _drawn(display: Display, out: Path, machine: str) -> bool:
    """Draw the figures; returns whether that succeeded."""
    from benchmarks.report import write_report

    display.say("drawing figures")
    try:
        write_report(out, machine)
    except Exception as error:  # noqa: BLE001  # records and tables are complete without figures
        display.warn(f"figures not drawn: {type(error).__name__}: {error}")
        return False
    return True


if __name__ == "__main__":
    faulthandler.enable()  # with --in-process a model may crash here
    raise SystemExit(main())
