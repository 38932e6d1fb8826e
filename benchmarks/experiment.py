"""One run inside a worker: data, model, choice of precision and engine, training, test, measurements."""

from __future__ import annotations

import os
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from benchmarks.measure import latency, memory, throughput
from benchmarks.record import RecordStore
from fmnist_zoo.checkpoint import save_checkpoint
from fmnist_zoo.data.datasets import Dataset, load_dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.evaluation import evaluate
from fmnist_zoo.recipe import Engine, Precision, Recipe
from fmnist_zoo.registry import create_model, load_plugin
from fmnist_zoo.training.choose import Choice, choose
from fmnist_zoo.training.device import resolve_device, synchronizer
from fmnist_zoo.training.fit import EpochStats, FitResult, fit, place, split_dataset
from fmnist_zoo.training.ledger import Ledger

if TYPE_CHECKING:
    from benchmarks.worker import Emit, Job


class Experiment:
    """Runs the jobs of one variant, and keeps between its seeds what they share: the data and the choice by measurement."""

    def __init__(self) -> None:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
        torch.set_flush_denormal(True)  # denormal numbers slow a CPU down and change no result that matters
        self._dataset: Dataset | None = None
        self._choice: Choice | None = None
        self._partial: dict[str, Any] = {}

    def partial(self) -> dict[str, Any]:
        """What is known of the run at hand so far: all that is left of it when it fails."""
        return self._partial

    def run(self, job: Job, emit: Emit) -> dict[str, Any]:
        """Carry a job out. Returns the fields of its record that a worker knows."""
        device = resolve_device(job["device"])
        ledger = Ledger(synchronize=synchronizer(device))
        self._partial = found = {"ledger": ledger.seconds, "history": [], "flags": []}
        for path in job["plugins"]:
            load_plugin(Path(path))
        dataset = self._load(job, ledger, found)
        recipe = Recipe.from_dict(job["config"]["recipe"])
        with ledger.section("build"):
            torch.manual_seed(job["seed"])
            model = place(create_model(job["config"]["model"], **job["config"]["model_options"]), device)
        choice = self._choose(model, dataset, recipe, job, device, ledger)
        found["execution"] = {
            "device": str(device), "precision": choice.precision, "engine": choice.engine,
            "num_threads": torch.get_num_threads() if device.type == "cpu" else None, "reason": choice.reason, "fallback": None,
        }  # fmt: skip

        def on_epoch(stats: EpochStats) -> None:
            found["history"].append(asdict(stats))
            emit({"event": "epoch", **asdict(stats)})

        with warnings.catch_warnings(record=True) as caught:
            result = fit(
                model, dataset, recipe=recipe, num_val=job["config"]["num_val"], seed=job["seed"], device=str(device),
                precision=choice.precision, engine=choice.engine, ledger=ledger, on_epoch=on_epoch,
            )  # fmt: skip
        found["flags"] += sorted({str(warning.message) for warning in caught if warning.message.args})
        found["execution"] |= {"engine": result.engine, "fallback": result.fallback}
        found |= {"num_steps": result.num_steps, "num_epochs": len(result.history)}
        self._test(model, dataset, result, job, ledger, found)
        with ledger.section("measure"):
            found["memory"] = memory(device)
            found["throughput"] = throughput(result, device)
            found["latency"] = latency(model, dataset, result) if job["latency"] else None
        return found

    def _load(self, job: Job, ledger: Ledger, found: dict[str, Any]) -> Dataset:
        config = job["config"]
        with ledger.section("data"):
            dataset = self._dataset = self._dataset or load_dataset(config["dataset"], root=job["data_dir"], progress=False)
        found["dataset"] = {
            "name": dataset.name, "checksum": dataset.checksum, "num_train": config["num_train"], "num_val": config["num_val"],
            "num_test": len(dataset.test), "class_names": list(dataset.class_names),
        }  # fmt: skip
        return dataset

    def _choose(
        self, model: torch.nn.Module, dataset: Dataset, recipe: Recipe, job: Job, device: torch.device, ledger: Ledger
    ) -> Choice:
        """Precision and engine, decided once for all seeds of the variant."""
        if self._choice is None:
            open_ = {name: None if job["config"][name] == "auto" else job["config"][name] for name in ("precision", "engine")}
            with ledger.section("probe"):
                train, _ = split_dataset(dataset, job["config"]["num_val"], device)
                self._choice = choose(
                    model, recipe,
                    TrainLoader(train, batch_size=recipe.batch_size, augmentation=recipe.augmentation, seed=job["seed"]),
                    PixelScale.of(recipe.input_scaling, dataset),
                    precision=cast(Precision | None, open_["precision"]), engine=cast(Engine | None, open_["engine"]),
                )  # fmt: skip
        return self._choice

    def _test(
        self, model: torch.nn.Module, dataset: Dataset, result: FitResult, job: Job, ledger: Ledger, found: dict[str, Any]
    ) -> None:
        """Read the test split, once, and keep what the model says of it, and the model where that is asked for."""
        with ledger.section("eval"):
            scored = evaluate(model, dataset.test, scale=result.scale, precision=result.precision)
        confidence, predicted = scored.pop("logits").softmax(1).max(1)
        for entry, name in zip(scored["per_class"], dataset.class_names, strict=True):
            entry["class"] = name
        found["metrics"] = {"test_" + name if name in ("top1_pct", "nll") else name: value for name, value in scored.items()}
        with ledger.section("write"):
            found["predictions"] = RecordStore(Path(job["machine_dir"])).write_predictions(
                job["run_id"], predicted.byte().cpu().numpy(), confidence.half().cpu().numpy()
            )
            if job["weights"] is not None:
                config = job["config"]
                save_checkpoint(
                    Path(job["machine_dir"]) / job["weights"], model, name=config["model"], options=config["model_options"],
                    input_scaling=config["recipe"]["input_scaling"], mean=dataset.mean, std=dataset.std,
                    class_names=dataset.class_names,
                )  # fmt: skip
                found["weights"] = job["weights"]
