"""What one epoch of a training gave, in the one form that trainings, checkpoints, events and records have."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

Int64 = Annotated[int, Meta(ge=-(2**63) + 1, le=2**63 - 1)]
"""An integer of 64 bits, as tables and arrays have them; every integer of a record is one."""


class _Learned(TypedDict):
    epoch: Int64
    train_loss: float | None
    train_top1_pct: float | None
    val_loss: float | None
    val_top1_pct: float | None
    lr: float | None
    elapsed_s: float | None


class EpochStats(_Learned, total=False):
    """One epoch, counted from 1.

    Losses are cross-entropies in nats, without label smoothing. Those of training are taken in training mode, before
    each update, averaged over the epoch; `val_*` is None without validation images. `elapsed_s` is training time so
    far, without warm-up and evaluation. `num_steps` counts those so far, and `scheduled_steps` is how many the whole
    training was planned to take during this epoch: it changes only under a budget in seconds, where a rerun needs it to
    follow the same schedule. A training knows all of it but `val_*`; the earliest records lack the last two.
    """

    num_steps: Int64
    scheduled_steps: Int64


class StepStats(TypedDict):
    """How far a training is within an epoch: `step` of its `epoch_steps` are done, after `epochs_done` whole ones.

    The other fields are those of `EpochStats`, so far.
    """

    epochs_done: int
    step: int
    epoch_steps: int
    num_steps: int
    scheduled_steps: int
    elapsed_s: float
