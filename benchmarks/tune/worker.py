"""A process that trains trials: jobs as JSON lines in, results out, like `benchmarks.sweep.worker`.

Started anew for each model, with the environment that measured runs have. Precision and engine are chosen at a model's
first trial and kept for the others.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from benchmarks.records.tuning import TrialResult
from benchmarks.sweep.worker import status_of
from benchmarks.workers.server import serve, training_arithmetic

if TYPE_CHECKING:
    from fmnist_zoo.data.datasets import Dataset
    from fmnist_zoo.training.choose import Choice

NUM_VAL = 5000


class TrialJob(TypedDict):
    """One training: what `fit` needs, as JSON has it."""

    model: str
    recipe: dict[str, Any]
    device: str
    dataset: str
    data_dir: str | None
    plugins: list[str]


class Trainer:
    """Trains trials of one model; what they share is kept between them.

    Attributes:
        dataset: loaded at the first trial, unless it is there already.
    """

    def __init__(self) -> None:
        self.dataset: Dataset | None = None
        self._choice: Choice | None = None

    def __call__(self, job: TrialJob) -> dict[str, Any]:
        """The scores of one training on 55,000 images, on the 5,000 that were held out."""
        import torch

        from fmnist_zoo.data.datasets import load_dataset
        from fmnist_zoo.data.loader import PixelScale, TrainLoader
        from fmnist_zoo.recipe import Recipe
        from fmnist_zoo.registry import create_model, load_plugin
        from fmnist_zoo.training.choose import choose
        from fmnist_zoo.training.device import resolve_device
        from fmnist_zoo.training.fit import fit, split_dataset, to_device

        for path in job["plugins"]:
            load_plugin(Path(path))
        if self.dataset is None:
            self.dataset = load_dataset(job["dataset"], root=job["data_dir"], progress=False)
        recipe, device = Recipe.from_dict(job["recipe"]), resolve_device(job["device"])
        torch.manual_seed(0)
        model = to_device(create_model(job["model"]), device)
        if self._choice is None:
            train, _ = split_dataset(self.dataset, NUM_VAL, device)
            loader = TrainLoader(train, batch_size=recipe.batch_size, augmentation=recipe.augmentation, seed=0)
            scale = PixelScale.of(recipe.input_scaling, self.dataset)
            self._choice = choose(model, recipe, loader, scale, precision=None, engine=None)
        result = fit(
            model,
            self.dataset,
            recipe=recipe,
            num_val=NUM_VAL,
            seed=0,
            device=job["device"],
            precision=self._choice.precision,
            engine=self._choice.engine,
        )
        last = result.history[-1]
        return {
            "val_top1_pct": last["val_top1_pct"],
            "val_loss": last["val_loss"],
            "train_top1_pct": last["train_top1_pct"],
            "train_s": last["elapsed_s"],
            "precision": result.precision,
            "engine": result.engine,
        }


def main() -> None:
    """Serve trials from standard input until it ends."""
    jobs, emit = serve()
    trainer = Trainer()
    emit({"event": "ready"})
    for line in jobs:
        started = time.perf_counter()
        result: dict[str, Any] = dict.fromkeys(TrialResult.__annotations__)
        try:
            with training_arithmetic():
                result |= {"status": "ok", **trainer(json.loads(line))}
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a model does wrong becomes its trial
            traceback.print_exc()
            result |= {"status": status_of(error), "error": f"{type(error).__name__}: {error}"}
        emit({"event": "done", **result, "wall_s": time.perf_counter() - started})


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main()
