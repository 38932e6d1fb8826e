"""From the events of a profiler's trace to where the time of training steps went: pure computing.

The events are those of the Chrome trace format as torch's profiler writes it: complete ones (`ph` X) with `cat`,
`name`, `pid`, `tid`, and `ts` and `dur` in microseconds.
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
"""Categories of what occupies a GPU."""

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
"""Kinds of operation by their names, the first that fits."""


@dataclass(frozen=True, slots=True)
class Operation:
    """All calls of one operation: how many, and the seconds spent in it and not in another that it called."""

    name: str
    kind: str
    self_s: float
    calls: int


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where a span of time went.

    Attributes:
        span_s: wall time of all profiled steps, the wait for the device at its end included.
        idle_s: of which no operation ran: on a GPU no kernel or copy, on a CPU nothing inside any operator.
        operations: the longest first; on a GPU the time of their kernels there.
    """

    span_s: float
    idle_s: float
    operations: list[Operation]

    @property
    def idle_share(self) -> float:
        """Share of the span, between 0 and 1."""
        return self.idle_s / self.span_s


def break_down(events: Iterable[Event], span_name: str, *, on_gpu: bool) -> Breakdown:
    """Tell where the time of an annotated span went, on the GPU or on the CPU.

    Args:
        events: of a trace.
        span_name: the annotation that the profiled steps lie in; it begins and ends with the device idle.
        on_gpu: count what ran on a GPU, under the name of the operator that launched it where one of torch's own did,
            else under the kernel's; if not, count operators on the CPU.

    Raises:
        ValueError: the trace has no such span, or nothing that ran in it.
    """
    complete = [event for event in events if event.get("ph") == "X" and "dur" in event]
    spans = [event for event in complete if event["name"] == span_name and event.get("cat") == "user_annotation"]
    if len(spans) != 1:
        raise ValueError(f"the trace has {len(spans)} spans named {span_name!r}, not one")
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
    """How much of `start` to `end` lies in at least one of the intervals; these may overlap and come in any order."""
    total, reached = 0.0, start
    for begin, stop in sorted(intervals):
        left, right = max(begin, reached), min(stop, end)
        if right > left:
            total += right - left
            reached = right
    return total


def self_times(events: Sequence[Event]) -> Iterator[tuple[str, float]]:
    """Each event's name and the microseconds that it spent outside the events within it, on the same thread."""
    threads: dict[tuple[Any, Any], list[Event]] = defaultdict(list)
    for event in events:
        threads[event["pid"], event["tid"]].append(event)
    for thread in threads.values():
        own: list[tuple[str, float]] = []
        open_events: list[tuple[float, int]] = []  # where each that is still open ends, and its place in `own`
        for event in sorted(thread, key=lambda event: (event["ts"], -event["dur"])):
            begin, end = _interval(event)
            while open_events and open_events[-1][0] <= begin:
                open_events.pop()
            if open_events:
                name, left = own[open_events[-1][1]]
                own[open_events[-1][1]] = name, left - event["dur"]
            open_events.append((end, len(own)))
            own.append((event["name"], event["dur"]))
        yield from ((name, max(0.0, left)) for name, left in own)  # clocks round: a part may seem longer than the whole


def gpu_times(ran: Iterable[Event], operators: Iterable[Event]) -> Iterator[tuple[str, float]]:
    """For each kernel or copy its microseconds, and the operator that launched it or its own name."""
    names = {
        event["args"]["External id"]: event["name"] for event in operators if "External id" in event.get("args", {})
    }
    for event in ran:
        launched_by = names.get(event.get("args", {}).get("External id"), "")
        # A region of compiled code or a replayed graph launches many: there the kernel's name says more.
        yield launched_by if launched_by.startswith("aten::") else event["name"], event["dur"]


def summed(times: Iterable[tuple[str, float]]) -> list[Operation]:
    """Names and microseconds added up by name, the longest first."""
    totals: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for name, microseconds in times:
        before, calls = totals[name]
        totals[name] = before + microseconds, calls + 1
    operations = [Operation(name, kind_of(name), time / 1e6, calls) for name, (time, calls) in totals.items()]
    return sorted(operations, key=lambda operation: (-operation.self_s, operation.name))


def by_kind(operations: Iterable[Operation]) -> list[tuple[str, float, int]]:
    """Kind, seconds and calls of all operations of each kind, the longest first."""
    totals: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for operation in operations:
        seconds, calls = totals[operation.kind]
        totals[operation.kind] = seconds + operation.self_s, calls + operation.calls
    return sorted(((kind, *total) for kind, total in totals.items()), key=lambda entry: (-entry[1], entry[0]))


def kind_of(name: str) -> str:
    """The kind of an operator or kernel by its name; `other` where none fits."""
    return next((kind for kind, pattern in KINDS.items() if pattern.search(name)), OTHER)


def _interval(event: Event) -> Interval:
    return event["ts"], event["ts"] + event["dur"]
