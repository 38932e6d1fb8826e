"""Plan of a sweep, made by workers, so that no model or plug-in can crash this process."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import msgspec

from benchmarks.records.row_labels import variant_labels
from benchmarks.records.schema import Config, Flag, Status
from benchmarks.sweep.config import PRESETS, Measures, RunConfig
from benchmarks.sweep.display import Display
from benchmarks.workers.client import Serving
from benchmarks.workers.slot import InProcess, Slots
from fmnist_zoo.registry import PLUGIN_GROUP

LIMIT_S = 300.0
"""Time limit to build and try a model, unless --timeout is given: timm's largest take a while on a busy machine."""
WORKLOAD = "benchmarks.sweep.trial:Trials"
"""Workload of a planning worker."""


class Failure(TypedDict):
    """Failure of a model before its first run, as record fields."""

    status: Status
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One row of the tables: a configuration, run once per seed.

    Attributes:
        config: as in a record; all a worker needs to know of the experiment.
        key: of the configuration, the same in every sweep: `benchmarks.records.record.config_key`.
        label: unique within the plan.
        family: of the model.
        plugins: to be loaded for the model: `fmnist_zoo.spec.ModelSpec.plugin`.
        flags: for each of its records.
        num_params: of the model; None if it failed, as the next two.
        forward_flops: per image, counted in advance: a timed process must not count.
        training_flops: per image, forward plus backward.
        code: `benchmarks.sweep.code_checksum.code_checksum` of model and training; if the model failed, without its
            layers.
        failure: why it can't run.
    """

    config: Config
    key: str
    label: str
    family: str
    plugins: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    num_params: int | None = None
    forward_flops: int | None = None
    training_flops: int | None = None
    code: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Variants, seeds and measurements of a sweep."""

    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    measures: Measures
    device: str
    deterministic: bool = False


def make_plan(options: RunConfig) -> Plan:
    """A plan made in this process, within reach of a debugger; see `Planner`."""
    with Planner(options, Display(), lambda: InProcess(WORKLOAD)) as planner:
        return planner.tried(planner.expanded())


class Planner(ExitStack):
    """Makes plans in workers: one for all models of this package and timm, and one per plug-in.

    Args:
        options: of the command line.
        display: told of each model.
        new_worker: creates a worker process or a substitute.
        limit_s: time limit per model; None for no limit.
    """

    def __init__(
        self, options: RunConfig, display: Display, new_worker: Callable[[], Serving], *, limit_s: float | None = None
    ) -> None:
        super().__init__()
        # Absolute: a plug-in may change the current folder.
        folder = options.data_dir and options.data_dir.absolute()
        self._options = replace(options, data_dir=folder, plugin=tuple(path.absolute() for path in options.plugin))
        self._display, self._limit_s = display, limit_s
        self._workers = self.enter_context(Slots(new_worker, "cpu"))

    def expanded(self) -> Plan:
        """The plan before its models are tried: the axes expanded and every combination checked.

        An installed plug-in that ends the importing process is skipped with a warning.

        Raises:
            ValueError: something is unknown, contradictory or impossible on this device, or a plug-in file fails.
        """
        leave_out: list[str] = []
        installed = importlib.metadata.entry_points(group=PLUGIN_GROUP).names
        home = "all plug-ins" if installed or self._options.plugin else ""
        options = msgspec.to_builtins(self._options, enc_hook=str)
        while True:
            last: dict[str, Any] = {}
            job = {"task": "expand", "options": options, "leave_out": leave_out}
            found = self._ask(job, home, last.update)
            plugin = last.get("plugin")
            if found["status"] == "ok":
                break
            if plugin not in installed or plugin in leave_out:
                raise ValueError(f"{f'plug-in {plugin}' if plugin else 'models'} can't be imported: {found['error']}")
            leave_out.append(plugin)
            self._display.warn(f"skipping installed plug-in {plugin}: it can't be imported: {found['error']}")
        for sentence in found["warnings"]:
            self._display.warn(sentence)
        labels = variant_labels([fields["config"] for fields in found["variants"]])
        measures = PRESETS[found["preset"]]
        return Plan(
            variants=tuple(
                replace(msgspec.convert(fields, Variant), label=label)
                for fields, label in zip(found["variants"], labels, strict=True)
            ),
            seeds=tuple(range(found["seeds"])),
            measures=replace(measures, measure=self._options.measure or measures.measure),
            device=found["device"],
            deterministic=self._options.deterministic,
        )

    def tried(self, plan: Plan) -> Plan:
        """The plan after building and running each model; failures are recorded per variant.

        Raises:
            ValueError: a model refuses its options.
        """
        unlike: dict[str, list[Variant]] = {}
        for variant in plan.variants:
            unlike.setdefault(_with_options(variant), []).append(variant)
        known = {name: self._try(name, variants) for name, variants in unlike.items()}
        return replace(
            plan, variants=tuple(replace(variant, **known[_with_options(variant)]) for variant in plan.variants)
        )

    def _try(self, name: str, variants: list[Variant]) -> dict[str, Any]:
        """Findings about a model, as fields of its variants."""
        first, fields = variants[0], dict[str, Any]()
        job = {
            "task": "try",
            "model": first.config["model"],
            "model_options": first.config["model_options"],
            "recipes": [variant.config["recipe"] for variant in variants],
            "plugins": first.plugins,
        }
        found = self._ask(job, " ".join(first.plugins), fields.update)
        if found["status"] != "ok":
            failure = Failure(status=found["status"], error=f"before its first run: {found['error']}")
            self._display.say(f"{name}: {found['status']} {_first_line(failure['error'])}")
            return {**fields, "failure": failure}
        names = ("num_params", "forward_flops", "training_flops", "code")
        self._display.say(
            f"{name}: {found['num_params']:,} parameters, {found['forward_flops'] / 2e6:,.4g} million MACs"
        )
        return {name: found[name] for name in names}

    def with_precisions_tried(self, plan: Plan) -> Plan:
        """The plan after a few steps in each requested precision, with warnings for slow ones."""
        if plan.device != "cpu":
            return plan
        found: dict[tuple[str, str], Failure | None] = {}
        for variant in plan.variants:
            key = _with_options(variant), variant.config["precision"]
            if variant.failure is None and key[1] not in ("auto", "fp32") and key not in found:
                result = self._ask(self._job("precision_cost", variant, plan), " ".join(variant.plugins))
                found[key] = None
                if result["status"] != "ok":
                    found[key] = Failure(status=result["status"], error=result["error"])
                elif result["sentence"]:
                    self._display.warn(result["sentence"])
        return replace(
            plan,
            variants=tuple(
                replace(
                    variant, failure=variant.failure or found.get((_with_options(variant), variant.config["precision"]))
                )
                for variant in plan.variants
            ),
        )

    def estimates(self, plan: Plan) -> Iterator[dict[str, Any]]:
        """For each variant `train_s` per seed and `how`, from a few steps, or the failure."""
        for variant in plan.variants:
            found: Mapping[str, Any] | None = variant.failure
            if found is None:
                found = self._ask(self._job("estimate", variant, plan), " ".join(variant.plugins))
                good = found["status"] == "ok"
                words = (
                    f"about {found['train_s']:,.1f} s per seed" if good else f"failed: {_first_line(found['error'])}"
                )
                self._display.say(f"{variant.label}: {words}")
            yield dict(found)

    def _job(self, task: str, variant: Variant, plan: Plan) -> dict[str, Any]:
        return {
            "task": task,
            "config": dict(variant.config),
            "seed": 0,
            "device": plan.device,
            "data_dir": self._options.data_dir and str(self._options.data_dir),
            "plugins": variant.plugins,
            "training_flops": variant.training_flops,
        }

    def _ask(
        self, job: dict[str, Any], home: str, on_event: Callable[[dict[str, Any]], None] = lambda event: None
    ) -> dict[str, Any]:
        """Answer of the worker for `home`, or its failure, which doesn't affect the next job.

        A failure counts only in a new process: an earlier model may have left a used one broken without a sign.
        """
        slot = self._workers[home]
        is_new = not slot.is_taken
        found = slot.run(job, on_event, timeout_s=self._limit_s)
        if found["status"] != "ok" and not is_new:
            slot.clear()
            found = slot.run(job, on_event, timeout_s=self._limit_s)
        if "refused" in found:
            raise ValueError(found["refused"])
        if found["status"] != "ok":
            slot.clear()
        return found


def _with_options(variant: Variant) -> str:
    """The model with its changed options, as `mlp hidden=64`."""
    options = variant.config["model_options"]
    return " ".join([variant.config["model"], *(f"{name}={value}" for name, value in options.items())])


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
