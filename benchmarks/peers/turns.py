"""Interleaving: an epoch of each arm in turn, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.measure.interleave import orders
from benchmarks.peers.process import ArmEpoch
from benchmarks.workers.slot import JobError

Name = TypeVar("Name", bound=str)


@dataclass(kw_only=True, slots=True)
class Turns:
    """The epochs of an arm, one a round, and how it died if it did."""

    epochs: list[ArmEpoch] = field(default_factory=list)
    error: str | None = None


def take_turns(arms: Mapping[Name, Callable[[], ArmEpoch]], num_rounds: int) -> dict[Name, Turns]:
    """Ask each arm for an epoch in turn. An arm that dies is left out from then on; the others go on."""
    found = {name: Turns() for name in arms}
    for order in orders(list(arms), num_rounds):
        for name in order:
            if found[name].error is None:
                try:
                    found[name].epochs.append(arms[name]())
                except JobError as error:
                    found[name].error = str(error)
    return found
