"""`--profile`: record steps of training with torch's profiler, and write its page and trace.

Events are evaluated in `report.profile.operations` and shown by `report.profile.page`.
"""

from __future__ import annotations

import gzip
import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.profiler import ProfilerActivity, kineto_available, profile, record_function

from benchmarks.measure.memory_traffic import step_traffic
from benchmarks.records.schema import Profile, Roofline
from benchmarks.report.bound import Bound, gemm_peak
from benchmarks.report.profile.operations import break_down
from benchmarks.report.profile.page import ProfiledSteps, profile_page
from fmnist_zoo.files import write_atomically
from fmnist_zoo.training.device import synchronizer
from fmnist_zoo.training.fit import FitResult
from fmnist_zoo.training.step import TrainingStep

TRACE_STEPS = 10
"""Steps in the saved trace: enough to look at, in a small file."""
MOST_STEPS, MOST_EVENTS = 240, 400_000
"""Limits of the breakdown: an epoch of 55,000 or 60,000 images in batches of 256, within memory limits."""
SPAN = "profiled steps"
FOLDER = "profiles"

Trace = dict[str, Any]


def write_profile(
    result: FitResult,
    *,
    machine_dir: Path,
    run_id: str,
    model: str,
    training_flops: int,
    roofline: Roofline | None,
    train_img_per_s: float | None,
) -> Profile:
    """Profile further training steps of a run, which change the weights.

    Args:
        result: of the run's training.
        machine_dir: page and trace go to its `profiles` folder.
        run_id: name of page and trace.
        model: its name, for the page.
        training_flops: per image, counted elsewhere, since counting may slow a process down.
        roofline: of the device, measured.
        train_img_per_s: steady-state throughput without the profiler.

    Returns:
        The names of the files.

    Raises:
        ValueError: no profiler for this build of torch or this device.
    """
    step, loader, batch_size = result.step, result.loader, result.step.recipe.batch_size
    where = step.device.type
    if not kineto_available():
        raise ValueError("this build of torch lacks Kineto, its profiler; install one that has it")
    if where not in ("cpu", "cuda"):
        raise ValueError(f"torch's profiler does not support {where}; profile with --device cpu")
    num_trace_steps = min(TRACE_STEPS, loader.steps_per_epoch)
    short = record(step, _some_chunks(result, num_trace_steps))
    num_steps = steps_to_profile(len(short["traceEvents"]) / num_trace_steps, loader.steps_per_epoch)
    whole = num_steps == loader.steps_per_epoch
    trace = record(step, loader.chunks(1) if whole else _some_chunks(result, num_steps))
    steps = ProfiledSteps(
        run_id=run_id,
        model=model,
        where=where,
        precision=result.precision,
        engine=result.engine,
        batch_size=batch_size,
        num_steps=num_steps,
        steps_per_epoch=loader.steps_per_epoch,
        num_trace_steps=num_trace_steps,
    )
    bound = Bound(
        flops=training_flops * batch_size,
        moved_bytes=step_traffic(step, *next(loader.batches(0, 1))),
        step_s=batch_size / train_img_per_s if train_img_per_s else None,
        gemm_tflop_per_s=gemm_peak(roofline, result.precision),
        copy_gb_per_s=roofline["copy_gb_per_s"] if roofline else None,
    )
    page = profile_page(steps, break_down(trace["traceEvents"], SPAN, on_gpu=where == "cuda"), bound)
    names: Profile = {"page": f"{FOLDER}/{run_id}.md", "trace": f"{FOLDER}/{run_id}.trace.json.gz"}
    write_atomically(machine_dir / names["trace"], packed(short))
    write_atomically(machine_dir / names["page"], page.encode("utf-8", "replace"))
    return names


def record(step: TrainingStep, chunks: Iterator[tuple[Tensor, Tensor]]) -> Trace:
    """Train on chunks under the profiler; returns the trace, in which `SPAN` covers everything."""
    synchronize = synchronizer(step.device)
    activities = [ProfilerActivity.CPU]
    if step.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    synchronize()
    with profile(activities=activities) as profiler, record_function(SPAN):
        for images, labels in chunks:
            step.chunk(images, labels, [step.recipe.lr * 1e-3] * (len(labels) // step.recipe.batch_size))
        synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return json.loads(path.read_bytes())


def steps_to_profile(events_per_step: float, steps_per_epoch: int) -> int:
    """Steps of an epoch, or fewer if it is long or a step has many events; at least 1."""
    return max(1, min(steps_per_epoch, MOST_STEPS, int(MOST_EVENTS / max(1.0, events_per_step))))


def packed(trace: Trace) -> bytes:
    """A trace as gzipped JSON, without machine and original file name."""
    kept = {name: value for name, value in trace.items() if name not in ("traceName", "host_name")}
    return gzip.compress(json.dumps(kept, separators=(",", ":")).encode(), mtime=0)


def _some_chunks(result: FitResult, num_steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of an epoch, whose order is drawn before the first one is used."""
    chunks = result.loader.chunks(0, num_steps)
    return itertools.chain([next(chunks)], chunks)
