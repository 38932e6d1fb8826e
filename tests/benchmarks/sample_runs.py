"""Runs with predictions of models whose true accuracy is known, for tests of what reads both."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.stats.simulation import World
from tests.benchmarks.sample_records import make_config, make_record

TRUTH = np.random.default_rng(9).integers(0, 10, 10_000).astype(np.uint8)
CHECKSUM = "5f1c0e"


def put_runs(
    machine: Path, models: dict[str, float], *, num_seeds: int = 3, draw: int = 4, **changes: Any
) -> list[RunRecord]:
    """Runs with predictions of simulated models at their true accuracy, the same for each `draw`.

    `changes` are those of make_config.
    """
    store, generator = RecordStore(machine), np.random.default_rng(draw)
    records: list[RunRecord] = []
    store.write_labels(CHECKSUM, TRUTH)
    world = World(num_seeds=num_seeds, num_models=1)
    for model, top1_pct in models.items():
        (runs,) = world.sweep(generator, ahead_pct=top1_pct - world.top1_pct).values()
        for seed, run in runs.items():
            assert run.answers is not None
            record = make_record(make_config(model, **changes), seed=seed, top1_pct=run.top1_pct, minutes=len(records))
            predicted = np.where(run.answers, TRUTH, (TRUTH + 1) % 10).astype(np.uint8)
            confidence = np.full(len(TRUTH), 0.95, dtype=np.float16)
            record.predictions = store.write_predictions(record.run_id, predicted, confidence)
            store.write(record)
            records.append(record)
    return records
