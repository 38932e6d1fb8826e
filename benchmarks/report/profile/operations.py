"""Time breakdown of training steps from the events of a profiler trace.

Events are in the Chrome trace format of torch's profiler: complete events (`ph` X) with `cat`, `name`, `pid`, `tid`,
and `ts` and `dur` in microseconds.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Event = Mapping[str, Any]
Interval = tuple[float, float]

ON_GPU = ("kernel", "gpu_memcpy", "gpu_memset")
"""Event categories that occupy a GPU."""

OTHER = "other"
KINDS: dict[str, re.Pattern[str]] = {
    kind: re.compile(pattern, re.IGNORECASE)
    for kind, pattern in {
        OTHER: r"^autograd::|^torch::autograd::|^(?!Compiled)\w+Backward\d*$",  # the engine around an operation
        "fused by the compiler": r"^triton_|graph_\w*fused|^Compiled|^Torch-Compiled|CompiledFxGraph",
        "optimizer": r"_fused_(adam|sgd|adagrad)|_foreach_(?!copy)|multi_tensor_apply|_amp_|FusedAdam",
        "recurrent": r"lstm|gru|rnn|recurrent",
        "attention": r"attention|flash_|fmha",
        "normalisation": r"norm|bn_fw|bn_bw",
        "pooling": r"pool",
        "convolution": r"conv|fprop|dgrad|wgrad|nchwToNhwc|nhwcToNchw|winograd",
        "matrix product": r"::(add|b|badd)?mm_?$|matmul|linear|gemm|gemv|cutlass|splitK|nvjet|mv_?$|::dot$",
        "data, gather, copy": r"copy|memcpy|memset|index|gather|scatter|randperm|::rand|random|::cat$|catarray|stack"
        r"|contiguous|clone|::to$|slice|split|select|narrow|fill|zero|ones|empty|unfold|pad|view|reshape|expand"
        r"|permute|transpose|::t$|as_strided|squeeze|flatten|resize|::item$|_local_scalar|detach|resolve|arange|flip",
        "activation, pointwise": r"elementwise|relu|threshold|clamp|gelu|silu|tanh|sigmoid|dropout|bernoulli|softmax"
        r"|nll|cross_entropy|reduce|::(add|sub|mul|div|neg|sum|mean|pow|exp|log|sqrt|lerp|where|eq|ge|le|gt|lt|ne)_?$"
        r"|::is\w+$|argmax|bitwise|::(round|floor|ceil|max|min|abs|all|any|reciprocal|rsqrt)_?$",
    }.items()
}
"""Kinds of operation by pattern of their names; the first match counts."""


@dataclass(frozen=True, slots=True)
class Operation:
    """All calls of one operation: their number, and self time (without nested operations)."""

    name: str
    kind: str
    self_s: float
    calls: int


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Time breakdown of a span.

    Attributes:
        span_s: wall time of all profiled steps, including the final wait for the device.
        idle_s: time without any operation: no kernel or copy on a GPU, no operator on a CPU.
        operations: by descending self time; on a GPU, the time of their kernels.
    """

    span_s: float
    idle_s: float
    operations: list[Operation]

    @property
    def idle_share(self) -> float:
        """Idle share of the span, between 0 and 1."""
        return self.idle_s / self.span_s


def break_down(events: Iterable[Event], span_name: str, *, on_gpu: bool) -> Breakdown:
    """Break down the time of an annotated span on the GPU or the CPU.

    Args:
        events: of a trace.
        span_name: annotation around the profiled steps; it begins and ends with an idle device.
        on_gpu: count kernels and copies, named after the torch operator that launched them or else the kernel; if
            false, count operators on the CPU.

    Raises:
        ValueError: the trace doesn't have exactly one such span, or nothing ran in it.
    """
    complete = [event for event in events if event.get("ph") == "X" and "dur" in event]
    spans = [event for event in complete if event["name"] == span_name and event.get("cat") == "user_annotation"]
    if len(spans) != 1:
        raise ValueError(f"the trace has {len(spans)} spans named {span_name!r} instead of one")
    start, end = _interval(spans[0])
    operators = [event for event in complete if event.get("cat") == "cpu_op"]
    if on_gpu:
        ran = [event for event in complete if event.get("cat") in ON_GPU and start <= event["ts"] < end]
        times = gpu_times(ran, operators)
    else:
        ran = [event for event in operators if start <= event["ts"] < end]
        times = self_times(ran)
    if not ran:
        raise ValueError(f"the profiler recorded no {'kernel on the GPU' if on_gpu else 'operator on the CPU'}")
    busy = covered(map(_interval, ran), start, end)
    return Breakdown(span_s=(end - start) / 1e6, idle_s=(end - start - busy) / 1e6, operations=summed(times))


def covered(intervals: Iterable[Interval], start: float, end: float) -> float:
    """Length of the union of the intervals within `start` to `end`; they may overlap and be unsorted."""
    total, reached = 0.0, start
    for begin, stop in sorted(intervals):
        left, right = max(begin, reached), min(stop, end)
        if right > left:
            total += right - left
            reached = right
    return total


def self_times(events: Sequence[Event]) -> Iterator[tuple[str, float]]:
    """Name and self time in microseconds of each event, without events nested in it on the same thread."""
    threads: dict[tuple[Any, Any], list[Event]] = defaultdict(list)
    for event in events:
        threads[event["pid"], event["tid"]].append(event)
    for thread in threads.values():
        own: list[tuple[str, float]] = []
        open_events: list[tuple[float, int]] = []  # end of each open event, and its place in `own`
        for event in sorted(thread, key=lambda event: (event["ts"], -event["dur"])):
            begin, end = _interval(event)
            while open_events and open_events[-1][0] <= begin:
                open_events.pop()
            if open_events:
                name, left = own[open_events[-1][1]]
                own[open_events[-1][1]] = name, left - event["dur"]
            open_events.append((end, len(own)))
            own.append((event["name"], event["dur"]))
        yield from ((name, max(0.0, left)) for name, left in own)  # rounding may make a part longer than the whole


def gpu_times(ran: Iterable[Event], operators: Iterable[Event]) -> Iterator[tuple[str, float]]:
    """Each kernel or copy: the operator that launched it, else its own name, and microseconds."""
    names = {
        event["args"]["External id"]: event["name"] for event in operators if "External id" in event.get("args", {})
    }
    for event in ran:
        launched_by = names.get(event.get("args", {}).get("External id"), "")
        # A compiled region or replayed graph launches many kernels, whose names say more.
        yield launched_by if launched_by.startswith("aten::") else event["name"], event["dur"]


def summed(times: Iterable[tuple[str, float]]) -> list[Operation]:
    """Times summed by name, longest first."""
    totals: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for name, microseconds in times:
        before, calls = totals[name]
        totals[name] = before + microseconds, calls + 1
    operations = [Operation(name, kind_of(name), time / 1e6, calls) for name, (time, calls) in totals.items()]
    return sorted(operations, key=lambda operation: (-operation.self_s, operation.name))


def by_kind(operations: Iterable[Operation]) -> list[tuple[str, float, int]]:
    """Seconds and calls by kind of operation, longest first."""
    totals: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for operation in operations:
        seconds, calls = totals[operation.kind]
        totals[operation.kind] = seconds + operation.self_s, calls + operation.calls
    return sorted(((kind, *total) for kind, total in totals.items()), key=lambda entry: (-entry[1], entry[0]))


def kind_of(name: str) -> str:
    """The kind of an operator or kernel by its name, else `other`."""
    return next((kind for kind, pattern in KINDS.items() if pattern.search(name)), OTHER)


def _interval(event: Event) -> Interval:
    return event["ts"], event["ts"] + event["dur"]
