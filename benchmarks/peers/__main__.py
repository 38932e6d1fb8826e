"""`python -m benchmarks.peers`: Lightning, Keras, JAX, plain PyTorch, the usual loop and this suite train the same net.

Each arm runs in a process of its own; they take turns, an epoch at a time.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.arms import ARMS, REFERENCE, ArmName
from benchmarks.peers.config import PeersConfig, check
from benchmarks.peers.page import not_installed, page
from benchmarks.peers.process import ArmEpoch, ArmProcess
from benchmarks.peers.summary import code_lines, figures
from benchmarks.peers.task import LR, Task
from benchmarks.peers.turns import Turns, take_turns
from benchmarks.peers.worker import framework_environment
from benchmarks.records.json_files import read_json
from benchmarks.workers.server import environment
from fmnist_zoo.cli.parse import parse
from fmnist_zoo.files import WriteError

if TYPE_CHECKING:
    from fmnist_zoo.data.datasets import Split

MODEL = "tutorial_mlp_128_64"
FIGURES = "peers.json"
FRAMEWORKS = ("torch", "torchvision", "lightning", "keras", "jax", "jaxlib")
VARIABLES = ("GLIBC_", "JAX_", "KERAS_", "MALLOC_", "MKL_", "OMP_", "XLA_")
"""Prefixes of the recorded environment variables, which may affect an arm's speed."""

EXAMPLES = ("", "--arms jax fmnist_zoo --batch-size 64")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit code: 0, 1 if an arm died, 2 for invalid input."""
    options = parse(PeersConfig, arguments, "benchmarks.peers", examples=EXAMPLES).options
    from fmnist_zoo.data import DataError

    try:
        found = compare(options)
    except (ValueError, DataError, WriteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(page(found))
    statuses = {arm["status"] for comparison in found["comparisons"] for arm in comparison["arms"].values()}
    return int("failed" in statuses)


def compare(options: PeersConfig) -> dict[str, Any]:
    """Train all arms, write the measurements and return them.

    Raises:
        ValueError: invalid option, unavailable device, or `out` not writable.
        DataError: no images available.
    """
    import torch

    from benchmarks.measure.machine_details import results_folder
    from benchmarks.peers.inputs import write_inputs
    from fmnist_zoo.data.datasets import holdout, load_dataset
    from fmnist_zoo.registry import create_model
    from fmnist_zoo.training.device import resolve_device

    device = str(resolve_device(options.device))
    train, val = holdout(load_dataset("fashion_mnist", root=options.data_dir).train)
    check(options, len(train))
    torch.manual_seed(0)
    found = preamble(options, device, len(train), len(val))
    folder = results_folder(options.out, device)
    with tempfile.TemporaryDirectory() as inputs:
        write_inputs(Path(inputs), train, val, create_model(MODEL))
        for batch_size in options.batch_size:
            print(f"batch size {batch_size}: {options.epochs} epochs of each arm", file=sys.stderr, flush=True)
            arms = compare_at(batch_size, options, Path(inputs), device, val)
            found["comparisons"].append({"batch_size": batch_size, "arms": arms})
            write(folder, found)
    found["measured_at"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z"  # only in complete results
    write(folder, found)
    return found


def compare_at(
    batch_size: int, options: PeersConfig, inputs: Path, device: str, val: Split
) -> dict[str, dict[str, Any]]:
    """Figures of each arm at one batch size, in the order of the options."""
    names = list(dict.fromkeys(options.arms))
    processes = {
        name: ArmProcess(
            Task(
                arm=name,
                folder=str(inputs),
                batch_size=batch_size,
                epochs=options.epochs,
                device=device,
                num_workers=options.num_workers,
                precision=ARMS[name].precision,
                engine=ARMS[name].engine,
            ),
            val.labels.numpy(),
        )
        for name in names
        if not ARMS[name].missing()
    }
    try:
        ask: Mapping[ArmName, Callable[[], ArmEpoch]] = {name: process.epoch for name, process in processes.items()}
        turns = take_turns(ask, options.epochs)
    finally:
        for process in processes.values():
            process.close()
    reference = turns.get(REFERENCE, Turns()).epochs
    return {name: arm_record(name, turns.get(name), reference, options) for name in names}


def arm_record(name: ArmName, turns: Turns | None, reference: list[ArmEpoch], options: PeersConfig) -> dict[str, Any]:
    """Entry of an arm in peers.json; `turns` is None if it isn't installed."""
    arm = ARMS[name]
    if turns is None:
        status, error = "not installed", not_installed(arm.missing())
    else:
        status, error = ("ok", None) if turns.error is None else ("failed", turns.error)
    how = {"num_workers": options.num_workers, "precision": arm.precision, "engine": arm.engine}
    return {
        "title": arm.title,
        "status": status,
        "error": error,
        "settings": arm.settings.format(**how),
        "code_lines": code_lines(arm.path.read_text(encoding="utf-8"), arm.source),
        **figures(turns.epochs if turns else [], reference, options.target),
    }


def preamble(options: PeersConfig, device: str, num_train: int, num_val: int) -> dict[str, Any]:
    """Fields common to all arms."""
    from benchmarks.measure.machine_details import environment_of

    variables = {**environment(), **framework_environment(device)}
    here = environment_of(device, num_threads=None, variables=variables)
    return {
        "device": device,
        "model": MODEL,
        "lr": LR,
        "epochs": options.epochs,
        "num_workers": options.num_workers,
        "num_train": num_train,
        "num_val": num_val,
        "target_val_top1_pct": options.target,
        "hardware": here["hardware"],
        "details": here["details"],
        "software": {**here["software"], "frameworks": {name: version(name) for name in FRAMEWORKS}},
        "environment": {name: value for name, value in variables.items() if name.startswith(VARIABLES)},
        "comparisons": [],
    }


def version(distribution: str) -> str | None:
    """Version of a package; None if it isn't installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def write(folder: Path, found: Mapping[str, Any]) -> None:
    """Write peers.json and peers.md."""
    from fmnist_zoo.files import write_atomically

    write_atomically(folder / FIGURES, (json.dumps(found, indent=1) + "\n").encode())
    write_atomically(folder / "peers.md", (page(found) + "\n").encode())


def measured_at(machine_dir: Path) -> str | None:
    """Time of a machine's comparison (UTC, format as in records); None without a complete one."""
    try:
        return str(read_json(machine_dir / FIGURES, dict[str, Any])["measured_at"])
    except (OSError, ValueError, KeyError):
        return None  # none readable: it will be measured and written


if __name__ == "__main__":
    raise SystemExit(main())
