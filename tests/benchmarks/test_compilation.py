"""The compiler's counters: what a compilation adds to them, and what the cache's state is called."""

import pytest
import torch

from benchmarks.measure.compilation import CompilerWatch, cache_state


@pytest.mark.parametrize(("hits", "misses", "state"), [(0, 0, None), (0, 2, "cold"), (3, 0, "warm"), (1, 1, "mixed")])
def test_the_state_of_the_cache(hits: int, misses: int, state: str | None) -> None:
    assert cache_state(hits, misses) == state


def test_graphs_breaks_and_recompiles_are_counted_from_the_beginning_of_the_watch() -> None:
    def broken(x: torch.Tensor) -> torch.Tensor:
        x = x + 1
        torch._dynamo.graph_break()
        return x * 2

    before = CompilerWatch()
    # The eager backend traces without generating code: quick, and counted in the same way.
    torch._dynamo.reset()
    function = torch.compile(broken, backend="eager", dynamic=False)
    function(torch.zeros(2))
    first = before.found()
    assert first["num_graphs"] == 2 and first["num_graph_breaks"] == 1 and first["num_recompiles"] == 0
    assert first["cache"] is None  # nothing was looked for
    watch = CompilerWatch()
    function(torch.zeros(3))  # another shape
    second = watch.found()
    assert second["num_recompiles"] >= 1 and second["num_graphs"] == 2
    watch = CompilerWatch()
    function(torch.zeros(3))
    assert watch.found()["num_graphs"] == watch.found()["num_recompiles"] == 0
    torch._dynamo.reset()
