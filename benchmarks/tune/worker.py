"""Worker of a search: trains trials of one model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from benchmarks.measure.subject import Subject
from fmnist_zoo.data.datasets import Dataset, load_dataset
from fmnist_zoo.registry import load_plugin
from fmnist_zoo.training.choose import Choice
from fmnist_zoo.training.fit import fit

if TYPE_CHECKING:
    from benchmarks.workers.server import Emit


class TrialJob(TypedDict):
    """One training: the parts of a run's configuration that affect it."""

    config: dict[str, Any]
    device: str
    data_dir: str | None
    plugins: list[str]


class Trainer:
    """Trains trials of one model; keeps the data, and precision and engine, chosen at the first trial.

    Attributes:
        dataset: loaded at the first trial, unless given.
    """

    def __init__(self) -> None:
        self.dataset: Dataset | None = None
        self._choice: Choice | None = None

    def __call__(self, job: TrialJob, emit: Emit) -> dict[str, Any]:  # noqa: ARG002
        """The scores of one training on 55,000 images, on the 5,000 that were held out."""
        for path in job["plugins"]:
            load_plugin(Path(path))
        config = job["config"]
        if self.dataset is None:
            self.dataset = load_dataset(config["dataset"], root=job["data_dir"], progress=False)
        subject = Subject.of(config, seed=0, device=job["device"], dataset=self.dataset)
        self._choice = self._choice or subject.choose()
        result = fit(
            subject.model,
            self.dataset,
            recipe=subject.recipe,
            num_val=config["num_val"],
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
