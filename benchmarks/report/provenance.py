"""Provenance of a page: hardware, versions, data, dates and commands of its records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from benchmarks.records.record import RunRecord
from benchmarks.records.schema import GEMM_PRECISIONS, Dataset, Environment, Software
from benchmarks.report.text import code_block, escape, significant

CSV_FILES = ("accuracy.csv", "throughput.csv", "cost.csv", "per_class.csv", "confusion.csv")


def provenance(records: Sequence[RunRecord], *, num_replaced: int, more_files: Sequence[str]) -> str:
    """The provenance part of a page, as Markdown.

    Args:
        records: the runs shown in tables.
        num_replaced: number of older runs replaced by a later one with the same configuration and seed.
        more_files: CSV files beside `CSV_FILES`.
    """
    replaced = f"; {num_replaced:,} older ones, since repeated, not counted" if num_replaced else ""
    num_ok = sum(record.status == "ok" for record in records)
    lines = [
        *_counted("Hardware", [_hardware_line(record.environment) for record in records]),
        *_counted("Software", [_software_line(record.environment["software"]) for record in records]),
        *_counted("Data", [_data_line(record.dataset) for record in records if record.dataset]),
        f"- Runs: {len(records):,}, {num_ok:,} of them ok, {date_range(records)} (UTC){replaced}.",
        f"- Tables with all columns: {', '.join(f'[{name}]({name})' for name in (*CSV_FILES, *more_files))}.",
    ]
    commands = list(dict.fromkeys(record.command for record in sorted(records, key=lambda record: record.run_id)))
    blocks = ["## Where the numbers come from", "\n".join(lines), "Commands:", code_block(commands)]
    return "\n\n".join(blocks)


def headline(records: Sequence[RunRecord]) -> str:
    """First line of a page: versions, numbers of runs, and dates."""
    versions = sorted({record.environment["software"]["torch"] for record in records})
    num_variants = len({record.config_key for record in records})
    num_seeds = len({record.seed for record in records})
    return (
        f"torch {escape(', '.join(versions))}; {_plural(num_variants, 'configuration')}, {_plural(num_seeds, 'seed')}, "
        f"{_plural(len(records), 'run')}; {date_range(records)}. "
        "See [where the numbers come from](#where-the-numbers-come-from)."
    )


def roofline_text(records: Sequence[RunRecord]) -> str | None:
    """Measured peaks of the device, from these runs; None if none was measured."""
    measured = [record.roofline for record in records if record.roofline]
    gemm = {
        precision: [rate for roofline in measured if (rate := roofline["gemm_tflop_per_s"].get(precision)) is not None]
        for precision in GEMM_PRECISIONS
    }
    sizes = sorted({roofline["gemm_size"] for roofline in measured if roofline["gemm_size"] is not None})
    copying = [roofline["copy_gb_per_s"] for roofline in measured if roofline["copy_gb_per_s"] is not None]
    parts = []
    if rates := ", ".join(f"{precision} {_extent(found)}" for precision, found in gemm.items() if found):
        square = " or ".join(f"{size:,} x {size:,}" for size in sizes)
        parts.append(f"matrix products ({square}) {rates} TFLOP/s")
    if copying:
        parts.append(f"copy {_extent(copying)} GB/s (read + written)")
    if not parts:
        return None
    of_all = "" if len(measured) == len(records) else f" (from {len(measured)} of {_plural(len(records), 'run')})"
    return f"Measured peaks of this device{of_all}: {'; '.join(parts)}."


def hosts_text(records: Sequence[RunRecord]) -> str | None:
    """The number of identical machines used by these runs; None if only one is known."""
    found = {host for record in records if (details := record.environment["details"]) and (host := details.get("host"))}
    if len(found) < 2:
        return None
    return f"Runs are from {len(found)} identical machines (hosts {escape(', '.join(sorted(found)))})."


def date_range(records: Sequence[RunRecord]) -> str:
    """First and last day on which runs started, or the only day."""
    days = sorted(record.started_at[:10] for record in records)
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _counted(title: str, lines: Sequence[str]) -> list[str]:
    """A list entry for each distinct line, with the number of runs if lines differ."""
    counts = Counter(lines)
    if len(counts) == 1:
        return [f"- {title}: {lines[0]}."]
    return [f"- {title} ({_plural(count, 'run')}): {line}." for line, count in sorted(counts.items())]


def _extent(values: Sequence[float]) -> str:
    """Minimum and maximum, or the only value."""
    low, high = significant(min(values)), significant(max(values))
    return low if low == high else f"{low} to {high}"


def _hardware_line(environment: Environment) -> str:
    hardware, details = environment["hardware"], environment["details"]
    parts = [hardware["cpu_model"]]
    numbers = {"family": "cpu_family", "model": "cpu_model_id", "stepping": "cpu_stepping"}
    parts += [f"{title} {value}" for title, name in numbers.items() if (value := hardware.get(name))]
    parts += filter(None, [hardware.get("microarchitecture")])
    if details is not None:
        caches = [details[name] for name in ("l1d_cache_kib", "l2_cache_kib", "l3_cache_kib")]
        parts += [" ".join(details["isa"])] * bool(details["isa"])
        parts += [f"caches of {' / '.join('?' if size is None else f'{size:,}' for size in caches)} KiB"] * any(caches)
    if hardware["physical_cores"] is not None:
        parts.append(f"{hardware['physical_cores']} physical cores")
    if hardware["logical_cores"] is not None:
        parts.append(f"{hardware['logical_cores']} logical cores")
    if hardware["memory_gib"] is not None:
        parts.append(f"{significant(hardware['memory_gib'])} GiB of memory")
    if hardware["gpu_name"]:
        memory = hardware["gpu_memory_gib"]
        size = "" if memory is None else f" with {significant(memory)} GiB"
        parts.append(f"{hardware['gpu_name']}{size} (the machine has {hardware['gpu_count']})")
    else:
        parts.append("no GPU used")
    return escape(", ".join(parts))


def _software_line(software: Software) -> str:
    names = {
        "python": "Python", "torch": "torch", "torchvision": "torchvision", "timm": "timm", "cuda": "CUDA",
        "cudnn": "cuDNN", "gpu_driver": "driver", "fmnist_zoo": "fmnist-zoo", "os": "on",
    }  # fmt: skip
    versions = json.loads(json.dumps(software))  # by name, which a TypedDict allows for literals only
    parts = [f"{title} {versions[name]}" for name, title in names.items() if versions[name] is not None]
    if software["commit"]:
        changed = " with uncommitted changes" if software["dirty"] else ""
        parts.append(f"commit {software['commit'][:12]}{changed}")
    return escape(", ".join(parts))


def _data_line(dataset: Dataset) -> str:
    return escape(f"{dataset['name']}, {dataset['num_test']:,} test images, checksum {dataset['checksum']}")
