"""One run inside a worker: data, model, choice of precision and engine, training, test, measurements."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchmarks.choices import remember, remembered
from benchmarks.labels import keep_labels
from benchmarks.measure import forget_peaks, latency, memory, throughput
from benchmarks.record import RecordStore
from benchmarks.roofline import roofline
from benchmarks.schema import Roofline
from fmnist_zoo.checkpoint import save_checkpoint
from fmnist_zoo.data.datasets import Dataset, load_dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.evaluation import evaluate
from fmnist_zoo.recipe import Engine, Recipe
from fmnist_zoo.registry import create_model, load_plugin
from fmnist_zoo.training.choose import Choice, choose
from fmnist_zoo.training.device import resolve_device, synchronizer
from fmnist_zoo.training.fit import EpochStats, FitResult, fit, place, split_dataset
from fmnist_zoo.training.ledger import Ledger

if TYPE_CHECKING:
    from benchmarks.worker import Emit, Job


class Experiment:
    """Runs the jobs of one variant, and keeps what its seeds share: data, roofline, and precision and engine.

    Attributes:
        found: what is known of the run at hand, as fields of its record; all that is left of a run that fails.
    """

    def __init__(self) -> None:
        torch.set_flush_denormal(True)  # denormal numbers slow a CPU down and change no result that matters
        self.found: dict[str, Any] = {}
        self._dataset: Dataset | None = None
        self._choice: Choice | None = None
        self._roofline: Roofline | None = None

    def run(self, job: Job, emit: Emit) -> dict[str, Any]:
        """Carry a job out. Returns the fields of its record that a worker knows."""
        self.found = {"history": [], "flags": []}  # nothing of an earlier run may be taken for this one's
        device = resolve_device(job["device"])
        ledger = Ledger(synchronize=synchronizer(device))
        self.found["ledger"] = ledger.seconds
        with ledger.section("measure"):  # first of all: afterwards its memory is there for training to use
            self._roofline = self._roofline or roofline(device)
        self.found["roofline"] = self._roofline
        for path in job["plugins"]:
            load_plugin(Path(path))
        config, recipe = job["config"], Recipe.from_dict(job["config"]["recipe"])
        with ledger.section("data"):
            dataset = self._load(job)
        with ledger.section("build"):
            torch.manual_seed(job["seed"])
            model = place(create_model(config["model"], **config["model_options"]), device)
        with ledger.section("probe"):
            choice = self._choose(model, dataset, recipe, job)
        forget_peaks(device)
        result = self._fit(model, dataset, recipe, job, choice, ledger=ledger, emit=emit)
        with ledger.section("eval"):
            predictions = self._test(model, dataset, result)
        with ledger.section("write"):
            self._keep(model, dataset, predictions, job)
        with ledger.section("measure"):
            self.found["memory"] = memory(device)
            self.found["throughput"] = throughput(result, device)
            self.found["latency"] = latency(model, dataset, result) if job["latency"] else None
        if job["profile"]:
            with ledger.section("profile"):  # last of all: it moves the weights, and must change no other figure
                self._profile(result, job)
        return self.found

    def _profile(self, result: FitResult, job: Job) -> None:
        """Profile a few steps more; a profiler that fails leaves a flag, since the run itself is done and good."""
        from benchmarks.profiling import write_profile

        try:
            self.found["profile"] = write_profile(
                result,
                machine_dir=Path(job["machine_dir"]),
                run_id=job["run_id"],
                model=job["config"]["model"],
                roofline=self._roofline,
                train_img_per_s=self.found["throughput"]["train_img_per_s"],
            )
        except Exception as error:  # noqa: BLE001  # whatever it is, the measured run is worth more than its profile
            message = " ".join(str(error).split())[:300]
            self._flag("profile", f"No profile was made: {type(error).__name__}: {message}")

    def _flag(self, kind: str, evidence: str, advice: str | None = None) -> None:
        self.found["flags"].append({"kind": kind, "evidence": evidence, "advice": advice})

    def _load(self, job: Job) -> Dataset:
        config = job["config"]
        if self._dataset is None:
            self._dataset = load_dataset(config["dataset"], root=job["data_dir"], progress=False)
        self.found["dataset"] = {
            "name": self._dataset.name,
            "checksum": self._dataset.checksum,
            "num_train": config["num_train"],
            "num_val": config["num_val"],
            "num_test": len(self._dataset.test),
            "class_names": list(self._dataset.class_names),
        }
        return self._dataset

    def _choose(self, model: nn.Module, dataset: Dataset, recipe: Recipe, job: Job) -> Choice:
        """Precision and engine, decided once for all seeds of the variant."""
        config, device = job["config"], resolve_device(job["device"])
        kept = None if job["choice"] is None else Path(job["choice"])
        self._choice = self._choice or remembered(kept)
        if self._choice is None:
            train, _ = split_dataset(dataset, config["num_val"], device)
            loader = TrainLoader(
                train, batch_size=recipe.batch_size, augmentation=recipe.augmentation, seed=job["seed"]
            )
            scale = PixelScale.of(recipe.input_scaling, dataset)
            precision = None if config["precision"] == "auto" else config["precision"]
            engine = None if config["engine"] == "auto" else config["engine"]
            self._choice = choose(model, recipe, loader, scale, precision=precision, engine=engine)
            remember(kept, self._choice)
        self.found["execution"] = {
            "device": str(device),
            "precision": self._choice.precision,
            "engine": self._choice.engine,
            "num_threads": torch.get_num_threads() if device.type == "cpu" else None,
            "reason": self._choice.reason,
            "fallback": None,
        }
        return self._choice

    def _fit(
        self,
        model: nn.Module,
        dataset: Dataset,
        recipe: Recipe,
        job: Job,
        choice: Choice,
        *,
        ledger: Ledger,
        emit: Emit,
    ) -> FitResult:
        def on_epoch(stats: EpochStats) -> None:
            self.found["history"].append(asdict(stats))
            emit({"event": "epoch", **asdict(stats)})

        with warnings.catch_warnings(record=True) as caught:
            result = fit(
                model,
                dataset,
                recipe=recipe,
                num_val=job["config"]["num_val"],
                seed=job["seed"],
                device=job["device"],
                precision=choice.precision,
                engine=choice.engine,
                ledger=ledger,
                on_epoch=on_epoch,
            )
        for sentence in sorted({str(warning.message).partition("\n")[0] for warning in caught}):
            self._flag("warning", sentence)
        self.found["execution"] |= {"engine": result.engine, "fallback": result.fallback}
        self.found |= {"num_steps": result.num_steps, "num_epochs": len(result.history)}
        return result

    def _test(self, model: nn.Module, dataset: Dataset, result: FitResult) -> torch.Tensor:
        """Read the test split, once. Returns the probabilities `(n, classes)` on the CPU."""
        engine: Engine = "graph" if result.engine == "graph" else "eager"  # compiling for one pass doesn't pay
        scored = evaluate(model, dataset.test, scale=result.scale, precision=result.precision, engine=engine)
        probabilities: torch.Tensor = scored.pop("logits").softmax(1).cpu()
        for entry, name in zip(scored["per_class"], dataset.class_names, strict=True):
            entry["class"] = name
        self.found["metrics"] = {
            "test_top1_pct": scored.pop("top1_pct"),
            "test_nll": scored.pop("nll"),
            **scored,
        }
        return probabilities

    def _keep(self, model: nn.Module, dataset: Dataset, probabilities: torch.Tensor, job: Job) -> None:
        """Write what the model says of the test split, and the model itself where that is asked for."""
        machine_dir, config = Path(job["machine_dir"]), job["config"]
        confidence, predicted = probabilities.max(1)
        keep_labels(RecordStore(machine_dir), dataset)
        self.found["predictions"] = RecordStore(machine_dir).write_predictions(
            job["run_id"], predicted.byte().numpy(), confidence.half().numpy()
        )
        if job["weights"] is not None:
            save_checkpoint(
                machine_dir / job["weights"],
                model,
                name=config["model"],
                options=config["model_options"],
                input_scaling=config["recipe"]["input_scaling"],
                mean=dataset.mean,
                std=dataset.std,
                class_names=dataset.class_names,
            )
        self.found["weights"] = job["weights"]
