"""The parts of a run's record as types, which msgspec checks when it reads one (`benchmarks.records.json_files`).

A number that was not measured, or is not finite, is None in every part: never 0 and never a guess. A key that a part
gets later is `NotRequired`: records without it are still read.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from fmnist_zoo.history import Int64

Status = Literal["ok", "oom", "timeout", "diverged", "failed"]


class _Chosen(TypedDict):
    model: str
    model_options: dict[str, Any]
    track: str
    preset: str
    precision: str
    engine: str
    device: str
    dataset: str
    num_train: Int64
    num_val: Int64
    recipe: dict[str, Any]


class Config(_Chosen, total=False):
    """What a person chose, defaults included and the seed apart: all that makes two runs the same experiment.

    `deterministic` is there, and true, only where it was asked for: a configuration without it has the key that it
    always had.
    """

    deterministic: bool


class Dataset(TypedDict):
    """What the run was trained and tested on."""

    name: str
    checksum: str
    num_train: Int64
    num_val: Int64
    num_test: Int64
    class_names: list[str]


class Hardware(TypedDict):
    """The machine, by which results are filed and compared together with `Details` (`benchmarks.records.machine`).

    `cpu_model` is the marketing name, `cpu_model_id` the number of the model within its family; of ARM's processors the
    numbers are those of architecture and part, and the stepping is `r1p2`. The microarchitecture is named by archspec.
    """

    cpu_model: str
    cpu_vendor: NotRequired[str | None]
    cpu_family: NotRequired[str | None]
    cpu_model_id: NotRequired[str | None]
    cpu_stepping: NotRequired[str | None]
    microarchitecture: NotRequired[str | None]
    physical_cores: Int64 | None
    logical_cores: Int64 | None
    memory_gib: float | None
    gpu_name: str | None
    gpu_memory_gib: float | None
    gpu_count: Int64


class Software(TypedDict):
    """Versions, and the state of the source tree: `commit` and `dirty` are None outside a checkout."""

    python: str
    torch: str
    torchvision: str | None
    timm: str | None
    fmnist_zoo: str | None
    cuda: str | None
    cudnn: str | None
    gpu_driver: str | None
    os: str
    commit: str | None
    dirty: bool | None


class Details(TypedDict):
    """What else of a machine and its settings may move a figure.

    Cores, instruction sets, caches and the power limit are part of the machine's identity, the rest is not.
    `cores_used` are those that the process may run on, `isa` the instruction sets that matter to matrix products,
    `variables` the environment variables that torch, OpenMP, CUDA and the allocator read, as the worker has them.
    `host` tells equal machines apart without naming them: see `benchmarks.measure.machine_details.host`.
    """

    host: NotRequired[str | None]
    cores_used: Int64 | None
    isa: list[str]
    l1d_cache_kib: Int64 | None
    l2_cache_kib: Int64 | None
    l3_cache_kib: Int64 | None
    num_threads: Int64 | None
    variables: dict[str, str]
    gpu_power_limit_w: float | None
    gpu_max_sm_clock_mhz: Int64 | None
    gpu_max_memory_clock_mhz: Int64 | None


class Environment(TypedDict):
    """Where a run took place: what a comparison is filed by, what it reports, and what else may explain a figure."""

    hardware: Hardware
    software: Software
    details: Details | None


class Flag(TypedDict):
    """What makes a figure of a run worth less than it seems: the kind, this run's evidence, and what to do about it."""

    kind: str
    evidence: str
    advice: str | None


class Execution(TypedDict):
    """What truly ran once `auto` was decided: `reason` says why, `fallback` what was asked for and couldn't be had."""

    device: str
    precision: str
    engine: str
    num_threads: Int64 | None
    reason: str | None
    fallback: str | None


class Ledger(TypedDict):
    """Seconds by part; the parts add up to `wall_s`.

    `eval_s` went into losses and validation after each epoch and the test at the end, `probe_s` into choosing precision
    and engine, `first_step_s` into compiling and warm-up, `profile_s` into a profile where one was asked for.
    `measure_s` begins with the roofline: a run that failed later has that much of it.
    """

    import_s: float | None
    data_s: float | None
    build_s: float | None
    probe_s: float | None
    first_step_s: float | None
    train_s: float | None
    eval_s: float | None
    measure_s: float | None
    profile_s: float | None
    write_s: float | None
    other_s: float | None
    wall_s: float | None


ClassScore = TypedDict(
    "ClassScore",
    {"class": str, "precision": float | None, "recall": float | None, "f1": float | None, "support": Int64},
)
"""Scores of one class, each between 0 and 1; `support` is its number of test images."""


class Metrics(TypedDict):
    """Scores on the test split; the confusion matrix has a row for each true class, in the order of `per_class`."""

    test_top1_pct: float
    test_nll: float | None
    macro_f1: float | None
    per_class: list[ClassScore]
    confusion_matrix: list[list[Int64]]


class Throughput(TypedDict):
    """Images per second in the steady state, with the raw samples."""

    train_img_per_s: float | None
    infer_img_per_s: float | None
    train_batch_size: Int64 | None
    infer_batch_size: Int64 | None
    train_samples_img_per_s: list[float]
    infer_samples_img_per_s: list[float]


class Latency(TypedDict):
    """Milliseconds for one batch."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    num_samples: Int64


class Memory(TypedDict):
    """Peak memory; `kind` says of what.

    `baseline_mem_mib` was in use before the model was built (the process, its libraries, the data), `peak_reserved_mib`
    is what torch's allocator held of a CUDA device.
    """

    peak_mem_mib: float | None
    baseline_mem_mib: float | None
    peak_reserved_mib: float | None
    kind: str


class Compilation(TypedDict):
    """What torch's compiler did in a run, by its own counters, up to the last of its steps.

    `cache` is `cold` where nothing came from inductor's cache on disk, `warm` where all did, else `mixed`; None where
    nothing was compiled.
    """

    cache: str | None
    num_graphs: Int64
    num_graph_breaks: Int64
    num_recompiles: Int64
    num_cache_hits: Int64
    num_cache_misses: Int64


class Cost(TypedDict):
    """The model's work for one image, counted and not timed: 1 MAC = 2 FLOPs, training = forward and backward.

    `step_traffic_bytes` is what a training step of the run's batch size has to move at least, by what it is.
    """

    forward_gmacs: float
    forward_gflops: float
    training_gflops: float
    step_traffic_bytes: dict[str, Int64] | None


class StepShares(TypedDict):
    """Milliseconds of the parts of a training step, medians of interleaved samples."""

    forward_ms: float
    backward_ms: float
    optimizer_ms: float
    num_samples: Int64


class BatchPoint(TypedDict):
    """Throughput at one batch size; None with the reason in `note` where it can't be had."""

    batch_size: Int64
    img_per_s: float | None
    samples_img_per_s: list[float]
    note: str | None


class BatchSweep(TypedDict):
    """Throughput over batch sizes, powers of two; a knee is the smallest batch that reaches 90% of the highest rate."""

    train: list[BatchPoint]
    infer: list[BatchPoint]
    train_knee: Int64 | None
    infer_knee: Int64 | None


class _Shares(TypedDict):
    seconds: float
    own_cpu: float | None
    other_cpu: float | None
    stolen_cpu: float | None
    gpu_busy: float | None
    gpu_other_processes: Int64 | None
    gpu_throttle_reasons: list[str] | None
    gpu_sm_clock_mhz: float | None


class Load(_Shares, total=False):
    """Who used the machine while a part of a run was timed.

    Shares of the time of all cores that the worker may run on, from 0 to 1: the worker's own, that of other processes,
    and what the hypervisor kept. The GPU's by NVML: share of the time in which a kernel ran, other processes on it,
    reasons for lower clocks. `own_cpu_s` is the CPU time of the worker and its children, all threads together; earlier
    records lack it.
    """

    own_cpu_s: float | None


class Energy(TypedDict):
    """Joules that the GPU took, by NVML's counter."""

    train_j: float | None
    train_j_per_1000_img: float | None
    run_j: float | None


GEMM_PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
"""Number formats in which matrix products are measured, where the device has them."""


class Roofline(TypedDict):
    """What the device was measured to do at most, at the start of the sweep: medians, and the raw samples.

    GEMM is the product of two square matrices of `gemm_size` rows, by number format (`GEMM_PRECISIONS`);
    copying counts the bytes read and the bytes written, in blocks of `copy_block_mib`. `measured_at` is the UTC time:
    a measurement is kept for an hour, and not made again for each run.
    """

    measured_at: str | None

    gemm_tflop_per_s: dict[str, float | None]
    copy_gb_per_s: float | None
    gemm_size: Int64 | None
    copy_block_mib: Int64 | None
    gemm_samples_tflop_per_s: dict[str, list[float]]
    copy_samples_gb_per_s: list[float]


class Profile(TypedDict):
    """Where a run's profile lies, relative to the machine's folder: a page, and a trace that Perfetto shows."""

    page: str
    trace: str
