"""`python -m benchmarks.peers`: the usual tutorial loop and this suite, interleaved epoch by epoch in one process."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tyro

MODEL = "tutorial_mlp_128_64"
FIGURES = "peers.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class PeersConfig:
    """Train 784-128-64-10 on 60,000 images by the usual tutorial loop and by this suite, an epoch of each in turn."""

    epochs: int = 10
    batch_size: int = 64
    num_workers: int = 2
    """Processes of the tutorial loop's DataLoader."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    data_dir: Path | None = None
    """Folder with the four idx files. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    out: Path = Path("results")
    """The figures go to peers.json and peers.md in this machine's folder."""


def main() -> int:
    """Run the command line; returns the exit code."""
    options = tyro.cli(PeersConfig, prog="python -m benchmarks.peers", description=__doc__)
    found = compare(options)
    print(table(found))
    return 0


def compare(options: PeersConfig) -> dict[str, Any]:
    """Train both, write what was measured, and return it."""
    import copy

    import torch

    from benchmarks.environment import hardware, software, this_machine
    from benchmarks.peers.arms import fmnist_zoo, tutorial_loop
    from fmnist_zoo.data.datasets import load_dataset
    from fmnist_zoo.data.loader import PixelScale
    from fmnist_zoo.evaluation import evaluate
    from fmnist_zoo.files import write_atomically
    from fmnist_zoo.recipe import Budget
    from fmnist_zoo.registry import create_model, get_spec
    from fmnist_zoo.training.device import resolve_device

    device = resolve_device(options.device)
    dataset = load_dataset("fashion_mnist", root=options.data_dir)
    published = get_spec(MODEL).published
    assert published is not None
    recipe = replace(published, budget=Budget("epochs", options.epochs), batch_size=options.batch_size)
    torch.manual_seed(0)
    initial = create_model(MODEL).to(device)
    models = {name: copy.deepcopy(initial) for name in ("tutorial loop", "fmnist_zoo")}
    epochs = interleave(
        {
            "tutorial loop": tutorial_loop(
                models["tutorial loop"], dataset, options.batch_size, options.epochs, options.num_workers
            ),
            "fmnist_zoo": fmnist_zoo(models["fmnist_zoo"], dataset, recipe),
        }
    )
    scale = PixelScale.of("unit", dataset)
    scores = {name: evaluate(model, dataset.test, scale=scale)["top1_pct"] for name, model in models.items()}
    found = {
        "measured_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z",
        "device": str(device),
        "model": MODEL,
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "num_workers": options.num_workers,
        "num_train": len(dataset.train),
        "hardware": hardware(str(device)),
        "software": software(),
        "arms": {
            name: {
                "train_loss": [loss for loss, _ in each],
                "epoch_s": [seconds for _, seconds in each],
                "train_img_per_s": len(dataset.train) / statistics.median(seconds for _, seconds in each),
                "test_top1_pct": scores[name],
            }
            for name, each in epochs.items()
        },
    }
    folder = options.out / this_machine(str(device))
    write_atomically(folder / FIGURES, (json.dumps(found, indent=1, sort_keys=True) + "\n").encode())
    write_atomically(folder / "peers.md", (table(found) + "\n").encode())
    return found


def measured_at(machine_dir: Path) -> str | None:
    """When a machine's comparison was measured (UTC, as records write it); None where there is none."""
    try:
        return str(json.loads((machine_dir / FIGURES).read_text(encoding="utf-8"))["measured_at"])
    except (OSError, ValueError, KeyError):
        return None  # there is none that could be read: it will be measured and written


def interleave(arms: dict[str, Iterator[float]]) -> dict[str, list[tuple[float, float]]]:
    """Let each arm do an epoch in turn until they end: its losses and seconds, by arm."""
    epochs: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    while True:
        for name, arm in arms.items():
            started = time.perf_counter()
            loss = next(arm, None)
            if loss is None:
                return epochs
            epochs[name].append((loss, time.perf_counter() - started))


def table(found: dict[str, Any]) -> str:
    """The comparison as a markdown page: speed, ratio, losses and accuracy, with machine and settings."""
    from tabulate import tabulate

    arms, hardware, software = found["arms"], found["hardware"], found["software"]
    ratios = [
        theirs / ours
        for theirs, ours in zip(arms["tutorial loop"]["epoch_s"], arms["fmnist_zoo"]["epoch_s"], strict=True)
    ]
    rows = [
        [
            name,
            f"{arm['train_img_per_s']:,.0f}",
            f"{arm['train_loss'][0]:.3f}",
            f"{arm['train_loss'][-1]:.3f}",
            f"{arm['test_top1_pct']:.2f}",
        ]
        for name, arm in arms.items()
    ]
    last = found["epochs"]
    headers = ["", "train, img/s", "training loss, epoch 1", f"training loss, epoch {last}", "test top-1, %"]
    settings = (
        f"{found['model']} from the same initial weights, {found['num_train']:,} images, batch {found['batch_size']}, "
        f"Adam 1e-3, fp32, {last} epochs each, an epoch of one and an epoch of the other in turn in one process. The "
        f"tutorial loop: torchvision's dataset with ToTensor, DataLoader with {found['num_workers']} workers, "
        "`loss.item()` in every step."
    )
    verdict = (
        f"fmnist_zoo is {statistics.median(ratios):.1f} times as fast (median over {last} pairs of epochs; "
        f"{min(ratios):.1f} to {max(ratios):.1f}). Images per second: median over the epochs, data included."
    )
    where = (
        f"{hardware['gpu_name'] or hardware['cpu_model']}, {hardware['physical_cores']} cores; Python "
        f"{software['python']}, torch {software['torch']}, torchvision {software['torchvision']}. Made by "
        "`python -m benchmarks.peers`; figures in `peers.json`."
    )
    cells = tabulate(rows, headers, tablefmt="github", disable_numparse=True)
    title = "# The usual tutorial loop and this suite, side by side"
    return f"{title}\n\n{settings}\n\n{cells}\n\n{verdict}\n\n{where}"


if __name__ == "__main__":
    raise SystemExit(main())
