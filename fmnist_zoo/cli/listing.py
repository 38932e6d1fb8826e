"""`python -m fmnist_zoo list`: the models that there are, and how well each has done so far."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from fmnist_zoo.cli.child import ModelFailedError, ModelProcess
from fmnist_zoo.cli.config import ListConfig

MISSING = "-"
RESULTS = Path("results")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """The best of a model's table rows: mean test accuracy over seeds, and how it came about."""

    test_top1_pct: float
    how: str


def list_text(options: ListConfig) -> tuple[str, int]:
    """The table of models, and the exit code: 1 where one of them failed, which its line then says.

    Raises:
        ValueError: a model is unknown, or the results can't be read.
    """
    recorded, rows, code = best_recorded(options.results), list[list[str]](), 0
    with ModelProcess(options.plugin) as process:
        for name in process.selected(options.models):
            best = recorded.get(name)
            accuracy = [f"{best.test_top1_pct:.2f}", best.how] if best else [MISSING, MISSING]
            try:
                family, num_params, macs, summary = process.call(_facts, name)
            except (ModelFailedError, ValueError) as error:
                rows.append([name, MISSING, MISSING, MISSING, *accuracy, f"failed: {error}"])
                code = 1
            else:
                rows.append([name, family, f"{num_params:,}", f"{macs:,}", *accuracy, summary])
        warnings = [f"warning: {sentence}\n" for sentence in process.warnings]
    headers = ["model", "family", "parameters", "MACs an image", "best top-1, %", "how (`--results`)", "what it is"]
    align = ("left", "left", "right", "right", "right", "left", "left")
    return "".join([*warnings, tabulate(rows, headers, disable_numparse=True, colalign=align)]), code


def _facts(name: str) -> tuple[str, int, int, str]:
    """Family, parameters, multiply-accumulates and summary of a model."""
    from fmnist_zoo.flops import count_flops
    from fmnist_zoo.registry import create_model, get_spec

    spec, model = get_spec(name), create_model(name)
    num_params = sum(parameter.numel() for parameter in model.parameters())
    return spec.family, num_params, count_flops(model).forward_flops // 2, spec.summary


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
