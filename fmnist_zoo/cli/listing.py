"""`python -m fmnist_zoo list`: the models that there are, and how well each has done so far."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from fmnist_zoo.cli.config import ListConfig
from fmnist_zoo.flops import count_flops
from fmnist_zoo.registry import create_model, get_spec, list_models, load_plugin, select_models

MISSING = "-"
RESULTS = Path("results")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """The best of a model's table rows: mean test accuracy over seeds, and how it came about."""

    test_top1_pct: float
    how: str


def list_text(options: ListConfig) -> str:
    """The table of models; ValueError where one is unknown or the results can't be read."""
    for path in options.plugin:
        load_plugin(path)
    recorded = best_recorded(options.results)
    rows = []
    for name in select_models(options.models) if options.models else list_models():
        model = create_model(name)
        num_params = sum(parameter.numel() for parameter in model.parameters())
        macs = count_flops(model).forward_flops // 2
        best = recorded.get(name)
        accuracy = [f"{best.test_top1_pct:.2f}", best.how] if best else [MISSING, MISSING]
        rows.append([name, get_spec(name).family, f"{num_params:,}", f"{macs:,}", *accuracy])
    headers = ["model", "family", "parameters", "MACs an image", "best top-1, %", "how (`--results`)"]
    align = ("left", "left", "right", "right", "right", "left")
    return tabulate(rows, headers, disable_numparse=True, colalign=align)


def best_recorded(results: Path | None) -> dict[str, Recorded]:
    """The best test accuracy on Fashion-MNIST of each model in the accuracy.csv of a results or machine folder.

    Args:
        results: the folder; None for `results` here, without which nothing is recorded.

    Raises:
        ValueError: a folder was named that holds no accuracy.csv, or one can't be read.
    """
    folder = results or RESULTS
    files = [folder / "accuracy.csv"] if (folder / "accuracy.csv").is_file() else sorted(folder.glob("*/accuracy.csv"))
    if results is not None and not files:
        raise ValueError(
            f"--results {results} holds no accuracy.csv; `python -m benchmarks.run --models all` makes one"
        )
    best: dict[str, Recorded] = {}
    for file in files:
        for model, found in _rows(file):
            if model not in best or found.test_top1_pct > best[model].test_top1_pct:
                best[model] = found
    return best


def _rows(file: Path) -> list[tuple[str, Recorded]]:
    """The rows of an accuracy table on Fashion-MNIST that have an accuracy: model, and what was reached how."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["dataset"] == "fashion_mnist" and row["test_top1_pct"]]
        return [
            (row["model"], Recorded(test_top1_pct=float(row["test_top1_pct"]), how=_how(row, file.parent.name)))
            for row in rows
        ]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"{file} is not a table of accuracies that `benchmarks.report` made: {error!r}") from error


def _how(row: dict[str, str], machine: str) -> str:
    """Track, budget, variant where it says more than the model, and seeds."""
    seeds = "1 seed" if row["num_seeds"] == "1" else f"{row['num_seeds']} seeds"
    own = row["variant"].removeprefix(row["model"]).split()
    changes = " ".join(word for word in own if word != f"budget={row['budget']}")
    return ", ".join([row["track"], row["budget"], *([changes] if changes else []), seeds, machine])
