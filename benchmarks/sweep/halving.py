"""A smaller batch for a run for which memory ran out, where that is asked for, and the words that mark it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.records.schema import Config, Flag

SMALLEST_BATCH = 8
"""No smaller batch is tried. What doesn't fit with 8 images of 784 pixels is too large for another reason."""


def halved(config: Config) -> Config | None:
    """The same with half the batch, rounded down, and nothing else changed; None below `SMALLEST_BATCH`."""
    batch_size = config["recipe"]["batch_size"] // 2
    return with_batch(config, batch_size) if batch_size >= SMALLEST_BATCH else None


def with_batch(config: Config, batch_size: int) -> Config:
    """The same with another batch size."""
    return {**config, "recipe": {**config["recipe"], "batch_size": batch_size}}


def batch_flag(asked: Mapping[str, Any], used: Mapping[str, Any], device: str) -> Flag:
    """What marks a run that was trained with another batch than was asked for.

    Args:
        asked: the recipe of the configuration.
        used: that of the training.
        device: on which memory ran out.
    """
    return {
        "kind": "batch_changed",
        "evidence": (
            f"Memory ran out on {device} at a batch of {asked['batch_size']}: trained with {used['batch_size']} images "
            f"a step instead, at the learning rate that was asked for ({used['lr']:g})."
        ),
        "advice": (
            "Compare it only with runs of that batch: ask for a --batch-size that fits, with an --lr for it, to have a "
            "row of its own."
        ),
    }


def oom_error(message: str, tried: Sequence[int], device: str, *, may_halve: bool) -> str:
    """What a run says for which memory ran out.

    Args:
        message: the failure of the last attempt.
        tried: batch sizes, in their order.
        device: on which it trained.
        may_halve: whether smaller batches were tried as far as that goes.
    """
    sizes = ", ".join(map(str, tried))
    fix = "no smaller batch is tried" if may_halve else "choose a smaller --batch-size, or let --on-oom halve do it"
    return f"memory ran out on {device} at a batch of {sizes} ({fix}): {message}"
