"""Interleaved timing: A B, B A, A B, ... so that disturbances affect all arms alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from benchmarks.measure.clock import Stopwatch

NUM_ROUNDS = 18
"""Rounds of a comparison.

The 95% interval of `stats.intervals.paired_ratio` then goes from the 5th to the 14th of the sorted ratios and
holds in 96.9% of all cases; up to four disturbed rounds on either side don't move it beyond the undisturbed ones. An
even number: each arm comes first as often as last.
"""
SAMPLE_S = 0.02
"""Least length of a sample: clock and synchronization are then less than a thousandth of it, and a round ends before
the machine drifts far."""

Name = TypeVar("Name", bound=str)


def orders(names: Sequence[Name], num_rounds: int) -> Iterator[list[Name]]:
    """Order of the arms by round: A B C, C B A, A B C, ... so that none always follows the same one."""
    for number in range(num_rounds):
        yield list(reversed(names)) if number % 2 else list(names)


def timed_rounds(
    arms: Mapping[Name, Callable[[], object]], timed: Stopwatch, *, num_rounds: int = NUM_ROUNDS
) -> dict[Name, list[float]]:
    """Seconds of every arm, interleaved, one sample per round.

    Args:
        arms: the work of a sample, by name; warmed up, and long enough (`SAMPLE_S`).
        timed: the device's stopwatch (`benchmarks.measure.clock.stopwatch`).
        num_rounds: samples of each arm.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in arms}
    for order in orders(list(arms), num_rounds):
        for name in order:
            seconds[name].append(timed(arms[name]))
    return seconds
