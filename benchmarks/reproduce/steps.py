"""Steps to measure the committed tables, the most valuable first."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from benchmarks.measure.machine_details import results_folder
from benchmarks.peers import __main__ as peers
from benchmarks.reproduce import gpu_tests
from benchmarks.run import Outcome, sweep
from benchmarks.selfcheck import __main__ as selfcheck
from benchmarks.selfcheck.config import SelfcheckConfig
from benchmarks.sweep.config import RunConfig
from fmnist_zoo.cli.parse import INTERRUPTED
from fmnist_zoo.recipe import Engine, Precision
from fmnist_zoo.registry import FAMILIES

TIMM_MODELS = ("timm/resnet18", "timm/vit_tiny_patch16_224", "timm/mixer_s32_224")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReproduceConfig:
    """Measure everything that the committed tables need, on this machine, the most valuable first.

    Runs that are ok since it began are not repeated: after a stop, the same command continues.

    Exit code: 0 if all is done, 1 if a run isn't ok or time ran out, 2 for wrong arguments, 130 if stopped.
    """

    out: Path = Path("results")
    """Folder for records and tables, in a folder named after the machine."""
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    minutes: float | None = None
    """Start no new run after this many minutes."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    tar: Path | None = None
    """Also pack the machine's records and tables into this file (.tar or .tar.gz), even after a stop."""
    step: tuple[str, ...] = ()
    """Only steps whose name contains one of these words, such as tutorial."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Start of the reproduction (UTC, as in records), and deadline for starting runs."""

    since: str
    deadline: float | None

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() > self.deadline


Step = Callable[[ReproduceConfig, Progress], Outcome]


def sweep_step(*configs: RunConfig) -> Step:
    """Step for runs of sweeps not done since the start of the reproduction."""

    def step(options: ReproduceConfig, progress: Progress) -> Outcome:
        outcomes = []
        for config in configs:
            outcome = sweep(
                replace(config, out=options.out, data_dir=options.data_dir, device=options.device, figures=False),
                command_of(config),
                since=progress.since,
                deadline=progress.deadline,
            )
            outcomes.append(outcome)
            if outcome.exit_code == INTERRUPTED:
                break
        return Outcome(
            exit_code=max(outcome.exit_code for outcome in outcomes),
            complete=all(outcome.complete for outcome in outcomes),
            machine=next((outcome.machine for outcome in outcomes if outcome.machine), None),
        )

    return step


def command_of(config: RunConfig) -> str:
    """Command line of a sweep: its models, and options that differ from the defaults."""
    words = ["python", "-m", "benchmarks.run"]
    for item in fields(config):
        value = getattr(config, item.name)
        if item.name == "models" or value != item.default:
            values = value if isinstance(value, tuple) else () if value is True else (value,)
            words += [f"--{item.name.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)


def once(
    options: ReproduceConfig,
    progress: Progress,
    measured_at: Callable[[Path], str | None],
    measure: Callable[[], object],
) -> Outcome:
    """Make a measurement with its own file, unless done since the reproduction began.

    Args:
        options: of the reproduction.
        progress: of the reproduction.
        measured_at: time of the last one, given the machine's folder.
        measure: runs it.
    """
    folder = results_folder(options.out, options.device)
    last = measured_at(folder)
    if last is None or last < progress.since:
        if progress.is_over:
            return Outcome(exit_code=0, complete=False, machine=folder.name)
        measure()
    return Outcome(exit_code=0, complete=True, machine=folder.name)


def peers_step(options: ReproduceConfig, progress: Progress) -> Outcome:
    """Comparison with other frameworks and the usual loop."""
    config = peers.PeersConfig(out=options.out, data_dir=options.data_dir, device=options.device)
    return once(options, progress, peers.measured_at, lambda: peers.compare(config))


def within_seconds(model: str, *seconds: float, options: tuple[str, ...] = ()) -> RunConfig:
    """Sweep of a model's own recipe with budgets in seconds, over three seeds."""
    budgets = tuple(f"seconds:{amount:g}" for amount in seconds)
    return RunConfig(models=(model,), track="best", budget=budgets, seeds=3, set=options)


def every_arm_step(options: ReproduceConfig, progress: Progress) -> Outcome:
    """One epoch of three seeds in every precision and engine of the device: speed and accuracy.

    All arms are in one sweep, which ends with their interleaved comparison.
    """
    from benchmarks.measure.roofline import has_precision
    from fmnist_zoo.training.device import resolve_device

    device = resolve_device(options.device)
    names: tuple[Precision, ...] = ("fp32", "tf32", "bf16", "bf16_weights", "fp16")
    config = RunConfig(
        models=("all",),
        preset="quick",
        budget=("epochs:1",),
        seeds=3,
        precision=tuple(name for name in names if has_precision(name, device)),
    )
    engines: tuple[Engine, ...] = ("eager", "compile", "graph") if device.type == "cuda" else ("eager", "compile")
    # One model at a time: a stop then leaves out the last models, not all comparisons.
    return sweep_step(*(replace(config, models=(family,), engine=engines) for family in FAMILIES))(options, progress)


def budgets_step(options: ReproduceConfig, progress: Progress) -> Outcome:
    """The same models and recipe with equal seconds and equal FLOPs, beside the equal epochs of the main job."""
    from fmnist_zoo.training.device import resolve_device

    is_cuda = resolve_device(options.device).type == "cuda"
    budgets = ("seconds:10", "flops:4e13") if is_cuda else ("seconds:20", "flops:2e12")
    return sweep_step(RunConfig(models=("all",), budget=budgets, seeds=3))(options, progress)


def timm_step(options: ReproduceConfig, progress: Progress) -> Outcome:
    """A convolutional net, a transformer and a mixer from timm, much larger than ours: GPU only."""
    from fmnist_zoo.training.device import resolve_device

    if resolve_device(options.device).type != "cuda":
        return Outcome(exit_code=0, complete=True, machine=None)
    return sweep_step(RunConfig(models=TIMM_MODELS))(options, progress)


def gpu_tests_step(options: ReproduceConfig, progress: Progress) -> Outcome:
    """Tests that need a CUDA device: figures of a failing code path are meaningless."""
    from fmnist_zoo.training.device import resolve_device

    if resolve_device(options.device).type != "cuda":
        return Outcome(exit_code=0, complete=True, machine=None)
    if reason := gpu_tests.missing():
        print(f"skipped: {reason}")
        return Outcome(exit_code=0, complete=True, machine=None)
    folder = results_folder(options.out, options.device)
    outcome = once(options, progress, gpu_tests.passed_at, lambda: gpu_tests.run_tests(folder))
    if not outcome.complete or gpu_tests.passed_at(folder) is not None:
        return outcome
    print(f"tests failed: see {folder / gpu_tests.REPORT}")
    return replace(outcome, exit_code=1, complete=False)


def selfcheck_step(options: ReproduceConfig, progress: Progress) -> Outcome:
    """A/A check, then the tables, which show its noise floor."""
    from benchmarks.report import write_report

    def measure() -> None:
        config = SelfcheckConfig(out=options.out, data_dir=options.data_dir, device=options.device)
        path, _ = selfcheck.selfcheck(config, "python -m benchmarks.selfcheck")
        write_report(options.out, path.parent.name, figures=False)

    return once(options, progress, selfcheck.measured_at, measure)


STEPS: dict[str, Step] = {
    "main job": sweep_step(RunConfig(models=("all",))),
    "main job with five seeds": sweep_step(RunConfig(models=("all",), seeds=5)),
    "GPU tests": gpu_tests_step,
    "tutorial nets": sweep_step(RunConfig(models=("tutorials",))),
    "comparison with other frameworks": peers_step,
    "all precisions and engines": every_arm_step,
    "all kinds of budget": budgets_step,
    "profiles of a training step": sweep_step(
        RunConfig(
            models=("all",),
            budget=("epochs:1",),
            seeds=1,
            profile=True,
            measure=("latency", "step_shares", "batch_sizes"),
        )
    ),
    "noise floor of this machine": selfcheck_step,
    "accuracy within seconds": sweep_step(
        within_seconds("mlp", 0.8, 1.5, 3.2),
        within_seconds("cnn_s", 10, 25),
        within_seconds("cnn", 60),
        within_seconds("unet_encoder", 25, 70),
        within_seconds("lstm", 13, 45),
        within_seconds("lstm", 8, options=("lstm.rows_per_step=2",)),
        within_seconds("transformer", 16, 45),
    ),
    "optimizers, rates and depths": sweep_step(
        RunConfig(
            models=("mlp",),
            preset="quick",
            budget=("epochs:3",),
            seeds=3,
            optimizer=("sgd", "adam", "muon"),
            lr=(1e-3, 1e-2, 1e-1),
            set=("mlp.hidden=256-128", "mlp.hidden=256-128-64-32"),
        )
    ),
    "timm models": timm_step,
}
"""Steps by name, the most valuable first."""
