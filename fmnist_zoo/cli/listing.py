"""`python -m fmnist_zoo list`: available models and their best recorded accuracy."""

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
    """A model's best table row: mean test accuracy over seeds, and its settings."""

    test_top1_pct: float
    how: str


def list_text(options: ListConfig) -> tuple[str, int]:
    """The table of models and the exit code, 1 if a model failed (its row says so).

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
    headers = ["model", "family", "parameters", "MACs/image", "best top-1, %", "settings (`--results`)", "summary"]
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
    """Best test accuracy of each model on Fashion-MNIST, from accuracy.csv in a results or machine folder.

    Args:
        results: the folder; None for `results` in the current folder, if it exists.

    Raises:
        ValueError: the given folder has no accuracy.csv, or one is invalid.
    """
    folder = results or RESULTS
    files = [folder / "accuracy.csv"] if (folder / "accuracy.csv").is_file() else sorted(folder.glob("*/accuracy.csv"))
    if results is not None and not files:
        raise ValueError(
            f"--results {results} holds no accuracy.csv; `python -m benchmarks.run --models all` creates one"
        )
    best: dict[str, Recorded] = {}
    for file in files:
        for model, found in _rows(file):
            if model not in best or found.test_top1_pct > best[model].test_top1_pct:
                best[model] = found
    return best


def _rows(file: Path) -> list[tuple[str, Recorded]]:
    """Model and result of each Fashion-MNIST row with an accuracy."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["dataset"] == "fashion_mnist" and row["test_top1_pct"]]
        return [
            (row["model"], Recorded(test_top1_pct=float(row["test_top1_pct"]), how=_how(row, file.parent.name)))
            for row in rows
        ]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"{file} is not an accuracy table written by `benchmarks.report`: {error!r}") from error


def _how(row: dict[str, str], machine: str) -> str:
    """Track, budget, variant if it differs from the model, seeds and machine."""
    seeds = "1 seed" if row["num_seeds"] == "1" else f"{row['num_seeds']} seeds"
    own = row["variant"].removeprefix(row["model"]).split()
    changes = " ".join(word for word in own if word != f"budget={row['budget']}")
    return ", ".join([row["track"], row["budget"], *([changes] if changes else []), seeds, machine])
