"""Compiler statistics from torch's own counters: graphs, breaks, recompiles, cache hits."""

from __future__ import annotations

from collections.abc import Mapping

from torch._dynamo.utils import clear_compilation_metrics, counters, get_compilation_metrics

from benchmarks.records.schema import Compilation


class CompilerWatch:
    """Counts from its creation on."""

    def __init__(self) -> None:
        clear_compilation_metrics()  # torch keeps the last 64 only: start with none
        self._before = _counts()

    def found(self) -> Compilation:
        """Statistics since creation."""
        counts = {name: value - self._before[name] for name, value in _counts().items()}
        hits, misses = counts["hits"], counts["misses"]
        return {
            "cache": cache_state(hits, misses),
            "num_graphs": counts["graphs"],
            "num_graph_breaks": counts["breaks"],
            "num_recompiles": counts["recompiles"],
            "num_cache_hits": hits,
            "num_cache_misses": misses,
        }


def cache_state(hits: int, misses: int) -> str | None:
    """`warm`, `cold` or `mixed`, by hits and misses of inductor's cache; None without lookups."""
    if not hits + misses:
        return None
    return "warm" if not misses else "cold" if not hits else "mixed"


def _counts() -> dict[str, int]:
    inductor: Mapping[str, int] = counters["inductor"]
    return {
        "graphs": counters["stats"]["unique_graphs"],
        "breaks": sum(counters["graph_break"].values()),
        # Each recompile of a frame, for other shapes or values, has a reason.
        "recompiles": sum(metrics.recompile_reason is not None for metrics in get_compilation_metrics()),
        "hits": inductor["fxgraph_cache_hit"],
        # Uncacheable graphs are compiled as well.
        "misses": inductor["fxgraph_cache_miss"] + inductor["fxgraph_cache_bypass"],
    }
