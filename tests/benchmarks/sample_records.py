"""Records made by hand, for tests of what reads them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.records.record import RunRecord, config_key, run_id
from benchmarks.records.schema import Config, Cost, Details, Environment, Flag, Hardware, Metrics, Roofline
from benchmarks.records.store import RecordStore

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
START = datetime(2026, 11, 21, 21, 0, 0, 123000, tzinfo=UTC)
MEASURED = (
    "num_params",
    "num_steps",
    "num_epochs",
    "dataset",
    "execution",
    "metrics",
    "throughput",
    "memory",
    "roofline",
    "cost",
)
LEDGER = {
    "import_s": 1.5, "data_s": 0.2, "build_s": 0.1, "probe_s": 1.0, "first_step_s": 3.25, "train_s": 12.5,
    "eval_s": 0.5, "measure_s": 1.0, "profile_s": 0.0, "write_s": 0.01, "other_s": 0.2, "wall_s": 20.26,
}  # fmt: skip


DETAILS: Details = {
    "cores_used": 2, "isa": ["avx2", "fma"], "l1d_cache_kib": 32, "l2_cache_kib": 512, "l3_cache_kib": 32768,
    "num_threads": 2, "variables": {}, "gpu_power_limit_w": None, "gpu_max_sm_clock_mhz": None,
    "gpu_max_memory_clock_mhz": None,
}  # fmt: skip


def make_config(model: str = "mlp", *, options: dict[str, Any] | None = None, **changes: Any) -> Config:
    """A configuration; `changes` are recipe fields where they name one, else fields of the configuration."""
    recipe = {
        "budget": "epochs:5", "batch_size": 256, "optimizer": "adamw", "lr": 0.003, "weight_decay": 0.05,
        "ema_decay": None, "augmentation": "none",
    }  # fmt: skip
    config: dict[str, Any] = {
        "model": model, "model_options": options or {}, "track": "equal", "preset": "quick", "precision": "auto",
        "engine": "auto", "device": "cpu", "dataset": "fashion_mnist", "num_train": 55000, "num_val": 5000,
        "recipe": recipe,
    }  # fmt: skip
    for name, value in changes.items():
        (recipe if name in recipe else config)[name] = value
    return config  # type: ignore[return-value]


def make_metrics(top1_pct: float, *, num_test: int = 10000) -> Metrics:
    """Scores with that accuracy: each class equally often right, what is wrong taken for the next class."""
    support = num_test // 10
    right = round(support * top1_pct / 100)
    score = right / support
    return {
        "test_top1_pct": top1_pct,
        "test_nll": 1 - top1_pct / 100 + 0.2,
        "macro_f1": score,
        "per_class": [
            {"class": name, "precision": score, "recall": score, "f1": score, "support": support} for name in CLASSES
        ],
        "confusion_matrix": [
            [right if row == column else support - right if column == (row + 1) % 10 else 0 for column in range(10)]
            for row in range(10)
        ],
    }


def make_environment(**changes: Any) -> Environment:
    """Two cores of an EPYC; `changes` are fields of hardware, software or details, of which there are none else."""
    environment: dict[str, Any] = {
        "hardware": {
            "cpu_model": "AMD EPYC", "physical_cores": 2, "logical_cores": 2, "memory_gib": 23.5, "gpu_name": None,
            "gpu_memory_gib": None, "gpu_count": 0,
        },
        "software": {
            "python": "3.11.2", "torch": "2.15.0", "torchvision": "0.30.0", "timm": "1.0.31", "fmnist_zoo": "0.1.0",
            "cuda": None, "cudnn": None, "gpu_driver": None, "os": "Linux-6.1-x86_64", "commit": "0123456789abcdef" * 2,
            "dirty": False,
        },
        "details": None,
    }  # fmt: skip
    for name, value in changes.items():
        if name in Details.__annotations__:
            environment["details"] = environment["details"] or {**DETAILS}
            environment["details"][name] = value
        else:
            environment["hardware" if name in Hardware.__annotations__ else "software"][name] = value
    return environment  # type: ignore[return-value]


def make_record(
    config: Config | None = None,
    *,
    seed: int = 0,
    top1_pct: float | None = 89.5,
    minutes: int = 0,
    edit: Callable[[RunRecord], None] | None = None,
    **fields: Any,
) -> RunRecord:
    """A record that fits the schema, `minutes` after the first; without an accuracy it has no measurement at all.

    `fields` are set as they are; `edit` may change what is inside them.
    """
    config = config or make_config()
    started_at, key = START + timedelta(minutes=minutes), config_key(config)
    measured = dict.fromkeys(MEASURED) if top1_pct is None else make_measured(config, top1_pct)
    values: dict[str, Any] = {
        "run_id": run_id(started_at, config["model"], key, seed), "status": "ok", "error": None, "seed": seed,
        "model": config["model"], "family": config["model"], "variant": config["model"], "latency": None,
        "started_at": f"{started_at:%Y-%m-%dT%H:%M:%SZ}", "command": "python -m benchmarks.run --models all",
        "config": config, "config_key": key, "environment": make_environment(), "history": [],
        "ledger": {**dict.fromkeys(LEDGER), "wall_s": 19.26}, **measured, **fields,
    }  # fmt: skip
    record = RunRecord(**values)
    if edit:
        edit(record)
    return record


def make_measured(config: Config, top1_pct: float) -> dict[str, Any]:
    """The parts of a record that a run has if it ended well."""
    sizes = {"num_train": config["num_train"], "num_val": config["num_val"], "num_test": 10000}
    epoch = {
        "epoch": 5, "train_loss": 0.25, "train_top1_pct": 91.0, "val_loss": 0.3, "lr": 0.0, "elapsed_s": 12.5,
        "val_top1_pct": top1_pct + 0.5 if config["num_val"] else None,
    }  # fmt: skip
    execution = {"device": "cpu", "precision": "bf16", "engine": "eager", "num_threads": 2, "reason": "fastest"}
    throughput = {
        "train_img_per_s": 41234.5, "infer_img_per_s": 151234.5, "train_batch_size": 256, "infer_batch_size": 1024,
        "train_samples_img_per_s": [41000.0, 41234.5, 41500.0], "infer_samples_img_per_s": [151234.5],
    }  # fmt: skip
    return {
        "num_params": 535818, "num_steps": 1075, "num_epochs": 5, "history": [epoch], "ledger": dict(LEDGER),
        "dataset": {"name": config["dataset"], "checksum": "5f1c0e", **sizes, "class_names": CLASSES},
        "execution": {**execution, "fallback": None}, "metrics": make_metrics(top1_pct), "throughput": throughput,
        "roofline": make_roofline(), "cost": make_cost(),
        "memory": {
            "peak_mem_mib": 812.4, "baseline_mem_mib": 540.2, "peak_reserved_mib": None,
            "kind": "resident set of the worker process",
        },
    }  # fmt: skip


def make_roofline(*, fp32: float | None = 0.21, copy_gb_per_s: float | None = 40.5) -> Roofline:
    """A processor with fp32 and bf16 products: the latter twice as fast."""
    bf16 = None if fp32 is None else 2 * fp32
    return {
        "measured_at": "2026-11-21T20:59:00Z",
        "gemm_tflop_per_s": {"fp32": fp32, "tf32": None, "bf16": bf16, "fp16": None},
        "copy_gb_per_s": copy_gb_per_s, "gemm_size": 2048, "copy_block_mib": 256,
        "gemm_samples_tflop_per_s": {} if fp32 is None or bf16 is None else {"fp32": [fp32] * 3, "bf16": [bf16] * 3},
        "copy_samples_gb_per_s": [] if copy_gb_per_s is None else [copy_gb_per_s] * 3,
    }  # fmt: skip


def make_cost(*, training_gflops: float = 0.0015, step_mb: int | None = 48) -> Cost:
    """An image's work, and a step's traffic in megabytes: a quarter of it weights."""
    parts = None if step_mb is None else {"weights": step_mb * 250_000, "activations": step_mb * 750_000}
    return {
        "forward_gmacs": training_gflops / 6, "forward_gflops": training_gflops / 3, "training_gflops": training_gflops,
        "step_traffic_bytes": parts,
    }  # fmt: skip


def make_flags(*sentences: str) -> list[Flag]:
    """Flags without advice."""
    return [{"kind": "note", "evidence": sentence, "advice": None} for sentence in sentences]


def write_records(machine_dir: Path, *records: RunRecord) -> None:
    """Put records into a machine's folder."""
    for record in records:
        RecordStore(machine_dir).write(record)


def report_text(machine_dir: Path) -> str:
    """All pages that a report made of a machine, its own first."""
    first = machine_dir / "README.md"
    pages = [first, *sorted(set(machine_dir.glob("*.md")) - {first})]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def replace_some_part(content: Any, path: Sequence[int], value: Any) -> None:
    """Put a value in the place of a part of parsed JSON: numbers, each of which part to go into, lead there."""
    node = content
    for step in path:
        parent, keys = node, list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[step % len(keys)]
        node = parent[key]
        if not node or isinstance(node, str | int | float):
            break
    parent[key] = value
