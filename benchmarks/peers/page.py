"""Comparison as a markdown page: a table per batch size, training of each arm, hardware and software."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.peers.arms import INSTALL

DASH = "—"
TITLE = "# The same net in other frameworks, the usual training loop and fmnist_zoo"


def page(found: Mapping[str, Any]) -> str:
    """Page of a comparison, from peers.json alone."""
    tables = [
        f"## Batch {comparison['batch_size']}\n\n{table(comparison, found['target_val_top1_pct'])}"
        for comparison in found["comparisons"]
    ]
    return "\n\n".join([TITLE, _what(found), *tables, _how_to_read(), _arms(found), _where(found)])


def table(comparison: Mapping[str, Any], target_pct: float) -> str:
    """One row per arm, a dash for missing values; below, why an arm has no figures."""
    from tabulate import tabulate

    headers = [
        "",
        "device",
        "training, img/s",
        "speed ratio fmnist_zoo / arm (lowest to highest)",
        "first epoch, s",
        f"time to {target_pct:g}% validation top-1, s",
        "final training loss",
        "final validation top-1, %",
        "peak memory, MiB",
        "lines of code",
    ]
    arms: Mapping[str, Any] = comparison["arms"]
    cells = tabulate(map(_row, arms.values()), headers, tablefmt="github", disable_numparse=True)
    notes = [f"**{arm['title']}**: {arm['error']}" for arm in arms.values() if arm["error"]]
    return "\n\n".join([cells, *(note.splitlines()[0] for note in notes)])


def not_installed(missing: list[str]) -> str:
    """Text for an arm that lacks modules."""
    return f"not measured: {' and '.join(missing)} not installed; `{INSTALL}` installs all arms"


def _row(arm: Mapping[str, Any]) -> list[str]:
    ratio = arm["speed_ratio"]
    return [
        arm["title"],
        arm["device"] or DASH,
        _cell(arm["train_img_per_s"], ",.0f"),
        DASH if ratio is None else f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})",
        _cell(arm["first_epoch_s"], ".2f"),
        _cell(arm["time_to_target_s"], ".1f"),
        _cell(arm["final_train_loss"], ".3f"),
        _cell(arm["final_val_top1_pct"], ".2f"),
        _cell(arm["peak_mem_mib"], ",.0f"),
        str(arm["code_lines"]),
    ]


def _cell(value: float | None, form: str) -> str:
    return DASH if value is None else format(value, form)


def _what(found: Mapping[str, Any]) -> str:
    return (
        f"784-128-64-10 (`{found['model']}`) from the same initial weights in every row: {found['num_train']:,} "
        f"training and {found['num_val']:,} validation images of Fashion-MNIST in [0, 1], Adam {found['lr']:g}, "
        f"{found['epochs']} epochs. Each arm has its own process; they alternate by epoch, one at a time, in reversed "
        "order after each round."
    )


def _how_to_read() -> str:
    return (
        "Images per second: median over epochs after the first, including data, excluding validation. Ratio: median "
        "over rounds after the first, with an epoch of both arms in each. First epoch: all after imports, including "
        "reading files, building the model and compilation. Time to accuracy: training seconds, including the first "
        "epoch, to the end of the first epoch that reached it; a dash is a miss. Loss: mean over the last epoch, in "
        "nats. Peak memory: resident set of the arm's process on the host, without its DataLoader workers. Lines of "
        "code: net (predefined in fmnist_zoo) and training, without imports, comments and docstrings."
    )


def _arms(found: Mapping[str, Any]) -> str:
    lines = [f"- **{arm['title']}**: {arm['settings']}." for arm in found["comparisons"][0]["arms"].values()]
    variables = ", ".join(f"`{name}={value}`" for name, value in sorted(found["environment"].items()))
    return "\n".join([*lines, f"\nEnvironment of all arms: {variables}. JAX sizes its own thread pool."])


def _where(found: Mapping[str, Any]) -> str:
    hardware, software = found["hardware"], found["software"]
    versions = [f"{name} {version}" for name, version in software["frameworks"].items() if version]
    return (
        f"{hardware['gpu_name'] or hardware['cpu_model']}, {hardware['physical_cores']} cores; Python "
        f"{software['python']}, {', '.join(versions)}. Made by `python -m benchmarks.peers`; figures in `peers.json`."
    )
