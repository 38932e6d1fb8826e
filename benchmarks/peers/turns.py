"""Interleaving: one epoch of each arm in turn, so that other load affects all arms alike."""

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
    """Epochs of an arm, one per round, and its error if it died."""

    epochs: list[ArmEpoch] = field(default_factory=list)
    error: str | None = None


def take_turns(arms: Mapping[Name, Callable[[], ArmEpoch]], num_rounds: int) -> dict[Name, Turns]:
    """Ask each arm for an epoch in turn. An arm that dies is dropped; the others continue."""
    found = {name: Turns() for name in arms}
    for order in orders(list(arms), num_rounds):
        for name in order:
            if found[name].error is None:
                try:
                    found[name].epochs.append(arms[name]())
                except JobError as error:
                    found[name].error = str(error)
    return found
