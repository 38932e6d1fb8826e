"""Parts of a run's record as types, checked by msgspec on reading (`benchmarks.records.json_files`).

Numbers not measured or not finite are None: never 0, never a guess. Keys added later are `NotRequired`: records without
them can still be read.
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
    """User's choices with defaults, without the seed: equal for two runs of the same experiment.

    `deterministic` is present, and true, only on request: configurations without it keep their key.
    """

    deterministic: bool


class Dataset(TypedDict):
    """Training and test data of the run."""

    name: str
    checksum: str
    num_train: Int64
    num_val: Int64
    num_test: Int64
    class_names: list[str]


class Hardware(TypedDict):
    """Machine, for filing and comparing results together with `Details` (`benchmarks.records.machine`).

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
    """Machine details and settings that may affect figures.

    Cores, instruction sets, caches and the power limit are part of the machine's identity, the rest is not.
    `cores_used` are those that the process may run on, `isa` the instruction sets relevant to matrix products,
    `variables` the worker's environment variables for torch, OpenMP, CUDA and the allocator. `host` tells equal
    machines apart without naming them: see `benchmarks.measure.machine_details.host`.
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
    """Environment of a run: hardware for filing, versions, and details that may explain a figure."""

    hardware: Hardware
    software: Software
    details: Details | None


class Flag(TypedDict):
    """Caveat on a figure of a run: kind, evidence from this run, and advice."""

    kind: str
    evidence: str
    advice: str | None


class Execution(TypedDict):
    """What actually ran after resolving `auto`: `reason` says why, `fallback` names an unavailable request."""

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
    `measure_s` starts with the roofline: runs that fail later keep that part.
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
    """Scores on the test split; one row of the confusion matrix per true class, in the order of `per_class`."""

    test_top1_pct: float
    test_nll: float | None
    macro_f1: float | None
    per_class: list[ClassScore]
    confusion_matrix: list[list[Int64]]


class Throughput(TypedDict):
    """Images per second in the steady state, with raw samples."""

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
    """Peak memory; `kind` names which.

    `baseline_mem_mib` was in use before the model was built (the process, its libraries, the data), `peak_reserved_mib`
    was held by torch's CUDA allocator.
    """

    peak_mem_mib: float | None
    baseline_mem_mib: float | None
    peak_reserved_mib: float | None
    kind: str


class Compilation(TypedDict):
    """Counters of torch's compiler in a run, up to its last step.

    `cache` is `cold` if nothing came from inductor's disk cache, `warm` if all did, else `mixed`; None if nothing was
    compiled.
    """

    cache: str | None
    num_graphs: Int64
    num_graph_breaks: Int64
    num_recompiles: Int64
    num_cache_hits: Int64
    num_cache_misses: Int64


class Cost(TypedDict):
    """Work of the model per image, counted, not timed: 1 MAC = 2 FLOPs, training = forward and backward.

    `step_traffic_bytes` is the minimum traffic of a training step at the run's batch size, by kind.
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
    """Throughput at one batch size; None with the reason in `note` if unavailable."""

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
    """Machine load while a part of a run was timed.

    Shares of the time of all cores available to the worker, from 0 to 1: its own, other processes, and time stolen by
    the hypervisor. GPU values by NVML: share of the time with a running kernel, other processes on it, reasons for
    lower clocks. `own_cpu_s` is the CPU time of the worker and its children, all threads together; earlier records lack
    it.
    """

    own_cpu_s: float | None


class Energy(TypedDict):
    """GPU energy in joules, by NVML's counter."""

    train_j: float | None
    train_j_per_1000_img: float | None
    run_j: float | None


GEMM_PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
"""Number formats of measured matrix products, if the device has them."""


class Roofline(TypedDict):
    """Measured peak rates of the device, at the start of the sweep: medians and raw samples.

    GEMM is the product of two square matrices of `gemm_size` rows, by number format (`GEMM_PRECISIONS`); copying counts
    the bytes read and the bytes written, in blocks of `copy_block_mib`. `measured_at` is the UTC time: a measurement is
    reused for an hour.
    """

    measured_at: str | None

    gemm_tflop_per_s: dict[str, float | None]
    copy_gb_per_s: float | None
    gemm_size: Int64 | None
    copy_block_mib: Int64 | None
    gemm_samples_tflop_per_s: dict[str, list[float]]
    copy_samples_gb_per_s: list[float]


class Profile(TypedDict):
    """Files of a run's profile, relative to the machine's folder: a page, and a trace for Perfetto."""

    page: str
    trace: str
