"""One run inside a worker: data, model, choice of precision and engine, training, test, measurements."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchmarks.measure.compilation import CompilerWatch
from benchmarks.measure.flags import validity_flags
from benchmarks.measure.machine_load import LoadWatch
from benchmarks.measure.memory import in_use_mib, memory, reset_peak_memory
from benchmarks.measure.memory_traffic import step_traffic
from benchmarks.measure.nvml import EnergyMeter
from benchmarks.measure.roofline import measured_roofline
from benchmarks.measure.subject import Subject, built_model
from benchmarks.measure.throughput import latency, step_shares, throughput
from benchmarks.records.schema import Execution, Roofline
from benchmarks.records.store import RecordStore
from benchmarks.sweep.earlier import begun_with, decided, open_checkpoints, remember, remembered, resumed_flag
from fmnist_zoo.data.datasets import Dataset, load_dataset
from fmnist_zoo.evaluation import evaluate
from fmnist_zoo.history import EpochStats
from fmnist_zoo.recipe import Engine, Recipe
from fmnist_zoo.registry import load_plugins
from fmnist_zoo.training.choose import Choice
from fmnist_zoo.training.device import resolve_device, synchronizer
from fmnist_zoo.training.fit import DivergedError, FitResult, fit, split_dataset
from fmnist_zoo.training.ledger import Ledger
from fmnist_zoo.training.precision import precision_notes
from fmnist_zoo.training.state import Checkpoints

if TYPE_CHECKING:
    from benchmarks.sweep.job import Job, Phase
    from benchmarks.workers.server import Emit


class TrainingRuns:
    """Runs jobs of a sweep; keeps data, roofline, precision and engine for a variant's seeds.

    Attributes:
        found: record fields of the current run so far; all that remains of a failed run.
    """

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self._dataset: Dataset | None = None
        self._choice: Choice | None = None
        self._roofline: Roofline | None = None

    def __call__(self, job: Any, emit: Emit) -> dict[str, Any]:
        """Run a job: a `run`, or part of a comparison of arms."""
        self.found = {}  # discard an earlier run's fields
        if job["task"] == "run":
            return self.run(job, emit)
        from benchmarks.sweep.arm_tasks import compare_arms, time_first_step

        return {"arms": compare_arms, "first_step": time_first_step}[job["task"]](job, emit)

    def run(self, job: Job, emit: Emit) -> dict[str, Any]:
        """Train and measure; returns the record fields known to a worker."""
        self.found = {"history": [], "flags": []}
        device = resolve_device(job["device"])
        watch, energy = LoadWatch(device), EnergyMeter(device)
        ledger = Ledger(synchronize=synchronizer(device), around={"train": lambda: _both(watch, energy)})
        self.found["ledger"] = ledger.seconds
        with ledger.section("measure"):  # first, so that its memory is free for training
            kept = None if job["roofline"] is None else Path(job["roofline"])
            self._roofline = self._roofline or measured_roofline(device, kept)
        self.found["roofline"] = self._roofline
        load_plugins(job["plugins"])
        config, recipe = job["config"], Recipe.from_dict(job["config"]["recipe"])
        with ledger.section("data"):
            dataset = self._load(job)
        with ledger.section("measure"):
            reset_peak_memory(device)
            baseline_mib = in_use_mib(device)
        with ledger.section("build"):
            model = built_model(config, seed=job["seed"], device=device)
            checkpoints = open_checkpoints(job)
        with _phase("choosing", emit, ledger.section("probe")):
            choice = self._choose(model, dataset, job, checkpoints)
        with ledger.section("measure"):
            reset_peak_memory(device)
            compiler = CompilerWatch()
        emit({"event": "phase", "phase": "training" if choice.engine == "eager" else "compiling"})
        result = self._fit(model, dataset, recipe, job, choice, checkpoints, ledger=ledger, emit=emit)
        self.found["compilation"] = compiler.found()
        with _phase("testing", emit, ledger.section("eval")):
            predictions = self._test(model, dataset, result)
        with ledger.section("write"):
            self._keep(model, dataset, predictions, job)
        with _phase("measuring", emit, ledger.section("measure")):
            self.found["memory"] = memory(device, baseline_mib=baseline_mib)
            # Only part of a resumed training was measured.
            self.found["energy"] = energy.found(result.num_steps * recipe.batch_size) if not ledger.carried_s else None
            self._measure(model, dataset, result, job, watch)
        if job["profile"]:
            # Last: it must change no other figure.
            with _phase("profiling", emit, ledger.section("profile")), self._extra("profile"):
                self._profile(result, job)
        return self.found

    def _measure(self, model: nn.Module, dataset: Dataset, result: FitResult, job: Job, watch: LoadWatch) -> None:
        """All requested measurements; after testing, since they change the weights."""
        device, wanted = result.step.device, job["measure"]
        with watch.part("throughput"):
            self.found["throughput"] = throughput(result, device, limit_s=job["limit_s"])
        with self._extra("step traffic"):
            self.found["step_traffic_bytes"] = step_traffic(result.step, *next(result.loader.batches(0, 1)))
        if "latency" in wanted:
            with self._extra("latency"):
                self.found["latency"] = latency(model, dataset, result)
        if "step_shares" in wanted:
            with self._extra("step shares"):
                self.found["step_shares"] = step_shares(result, device)
        if "batch_sizes" in wanted:
            from benchmarks.measure.batch_sizes import batch_sweep

            with self._extra("batch sizes"):
                train, _ = split_dataset(dataset, job["config"]["num_val"], device)
                self.found["batch_sizes"] = batch_sweep(result, train, device)
        self.found["load"] = watch.found
        self.found["flags"] += validity_flags(
            throughput=self.found["throughput"],
            batch_size=result.step.recipe.batch_size,
            load=watch.found,
            batch_sweep=self.found.get("batch_sizes"),
        )

    def _profile(self, result: FitResult, job: Job) -> None:
        """Profile a few steps more."""
        from benchmarks.sweep.profiling import write_profile

        self.found["profile"] = write_profile(
            result,
            machine_dir=Path(job["machine_dir"]),
            run_id=job["run_id"],
            model=job["config"]["model"],
            training_flops=job["training_flops"],
            roofline=self._roofline,
            train_img_per_s=self.found["throughput"]["train_img_per_s"],
        )

    @contextmanager
    def _extra(self, what: str) -> Iterator[None]:
        """An optional measurement: a failure becomes a flag, and the run stays ok."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # an optional measurement must not fail a run
            message = " ".join(str(error).split())[:300]
            self._flag("not_measured", f"Not measured: {what}: {type(error).__name__}: {message}")

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

    def _choose(self, model: nn.Module, dataset: Dataset, job: Job, checkpoints: Checkpoints | None) -> Choice:
        """Precision and engine, chosen once for all seeds of a variant, including an earlier sweep's."""
        kept = None if job["choice"] is None else Path(job["choice"])
        choice = begun_with(checkpoints) or self._choice or decided(job["decided"]) or remembered(kept)
        if choice is None:
            subject = Subject.of(job["config"], seed=job["seed"], device=job["device"], dataset=dataset, model=model)
            choice = subject.choose(image_flops=job["training_flops"])
            remember(kept, choice)
        self._choice = choice
        self.found["execution"] = _execution(choice, resolve_device(job["device"]))
        return choice

    def _fit(
        self,
        model: nn.Module,
        dataset: Dataset,
        recipe: Recipe,
        job: Job,
        choice: Choice,
        checkpoints: Checkpoints | None,
        *,
        ledger: Ledger,
        emit: Emit,
    ) -> FitResult:
        def on_epoch(stats: EpochStats) -> None:
            self.found["history"].append(stats)
            self.found["carried_s"] = ledger.carried_s
            emit({"event": "epoch", **stats})

        for note in precision_notes(model, choice.precision, resolve_device(job["device"])):
            self._flag("precision", note)
        if checkpoints is not None:
            checkpoints.about["reason"] = choice.reason
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
                on_steps=lambda steps: emit({"event": "steps", **steps}),
                checkpoints=checkpoints,
                image_flops=job["training_flops"],
            )
        for sentence in sorted({str(warning.message).partition("\n")[0] for warning in caught}):
            self._flag("warning", sentence)
        self.found["execution"] |= {"engine": result.engine, "fallback": result.fallback}
        self.found |= {"num_steps": result.num_steps, "num_epochs": len(result.history)}
        if (flag := resumed_flag(result, ledger)) is not None:
            self.found["flags"].append(flag)
        return result

    def _test(self, model: nn.Module, dataset: Dataset, result: FitResult) -> torch.Tensor:
        """Evaluate the test split, once; returns probabilities `(n, classes)` on the CPU."""
        engine: Engine = "graph" if result.engine == "graph" else "eager"  # compiling for one pass doesn't pay
        scored = evaluate(model, dataset.test, scale=result.scale, precision=result.precision, engine=engine)
        if not math.isfinite(scored["nll"]):  # as after a running statistic that overflowed, which training never reads
            last = result.num_steps - (result.history[-2]["num_steps"] if len(result.history) > 1 else 0)
            raise DivergedError(len(result.history), last, "the loss on the test images is")
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
        """Write the test predictions and, if requested, the model."""
        machine_dir, config = Path(job["machine_dir"]), job["config"]
        confidence, predicted = probabilities.max(1)
        store = RecordStore(machine_dir)
        store.keep_labels(dataset)
        self.found["predictions"] = store.write_predictions(
            job["run_id"], predicted.byte().numpy(), confidence.half().numpy()
        )
        if job["weights"] is not None:
            from fmnist_zoo.checkpoint import save_checkpoint

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


def _execution(choice: Choice, device: torch.device) -> Execution:
    """Precision, engine and reason, as in a record."""
    return {
        "device": str(device),
        "precision": choice.precision,
        "engine": choice.engine,
        "num_threads": torch.get_num_threads() if device.type == "cpu" else None,
        "reason": choice.reason,
        "fallback": None,
    }


@contextmanager
def _phase(name: Phase, emit: Emit, section: AbstractContextManager[None]) -> Iterator[None]:
    """Announce a phase, then time it in a section of the ledger."""
    emit({"event": "phase", "phase": name})
    with section:
        yield


@contextmanager
def _both(watch: LoadWatch, energy: EnergyMeter) -> Iterator[None]:
    """Watch machine load and GPU energy during training."""
    with watch.part("train"), energy.training():
        yield
