"""Statistics of an epoch, in the form shared by training, checkpoints, events and records."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

Int64 = Annotated[int, Meta(ge=-(2**63) + 1, le=2**63 - 1)]
"""A 64-bit integer, as in tables and arrays; every integer of a record is one."""


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

    Losses are cross-entropies in nats, without label smoothing. Training losses are taken in training mode before each
    update and averaged over the epoch; `val_*` is None without validation images. `elapsed_s` is training time so far,
    excluding warm-up and evaluation; `num_steps` counts steps so far. `scheduled_steps` is the planned total of the
    training during this epoch: it changes only under a budget in seconds, where a rerun needs it to follow the same
    schedule. Training fills in all but `val_*`; the earliest records lack the last two.
    """

    num_steps: Int64
    scheduled_steps: Int64


class StepStats(TypedDict):
    """Progress within an epoch: `step` of its `epoch_steps` are done, after `epochs_done` complete epochs.

    The other fields are as in `EpochStats`, so far.
    """

    epochs_done: int
    step: int
    epoch_steps: int
    num_steps: int
    scheduled_steps: int
    elapsed_s: float
