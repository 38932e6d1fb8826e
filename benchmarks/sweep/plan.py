"""What a sweep is about to do, found out by workers: no model and no plug-in is loaded here, where it could end all."""

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
"""For a model to be built and tried, unless --timeout says another: on a busy machine the largest of timm's take a
while."""
WORKLOAD = "benchmarks.sweep.trial:Trials"
"""What a worker does for a plan."""


class Failure(TypedDict):
    """How a model failed before its first run, as fields of a record."""

    status: Status
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One row of the tables: a configuration, run once for each seed.

    Attributes:
        config: what a record calls `config`; all that a worker needs to know of the experiment.
        key: of the configuration, the same in every sweep: `benchmarks.records.record.config_key`.
        label: what distinguishes it within the plan.
        family: of the model.
        plugins: what a worker has to load for the model: `fmnist_zoo.spec.ModelSpec.plugin`.
        flags: go into each of its records.
        num_params: of the model; None where it failed, as the next three.
        forward_flops: of the model for one image, counted beforehand: a process that is timed must not count.
        training_flops: the same of forward and backward.
        code: `benchmarks.sweep.code_checksum.code_checksum` of model and training; where the model failed, of what is
            known without an instance.
        failure: why it can't be run.
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
    """The variants of a sweep, the seeds of each, and what is measured beside training."""

    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    measures: Measures
    device: str
    deterministic: bool = False


def make_plan(options: RunConfig) -> Plan:
    """A plan made in this process, where a debugger reaches the models, and these reach everything; see `Planner`."""
    with Planner(options, Display(), lambda: InProcess(WORKLOAD)) as planner:
        return planner.tried(planner.expanded())


class Planner(ExitStack):
    """Has plans made by workers, which end with it: one for all models of this package and of timm, and one a plug-in.

    Args:
        options: what was asked for.
        display: told of each model as it is done.
        new_worker: makes a worker process, or what stands in its place.
        limit_s: for each model; None for no limit.
    """

    def __init__(
        self, options: RunConfig, display: Display, new_worker: Callable[[], Serving], *, limit_s: float | None = None
    ) -> None:
        super().__init__()
        # Absolute: a plug-in may go to another folder.
        folder = options.data_dir and options.data_dir.absolute()
        self._options = replace(options, data_dir=folder, plugin=tuple(path.absolute() for path in options.plugin))
        self._display, self._limit_s = display, limit_s
        self._workers = self.enter_context(Slots(new_worker, "cpu"))

    def expanded(self) -> Plan:
        """The plan before its models are tried: the axes expanded and every combination checked.

        An installed plug-in that ends the process which imports it is left out with a warning.

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
        """The same with what is known of each model once it was built and run; one that fails is a failure of its own.

        Raises:
            ValueError: a model refuses the options that it was given.
        """
        unlike: dict[str, list[Variant]] = {}
        for variant in plan.variants:
            unlike.setdefault(_with_options(variant), []).append(variant)
        known = {name: self._try(name, variants) for name, variants in unlike.items()}
        return replace(
            plan, variants=tuple(replace(variant, **known[_with_options(variant)]) for variant in plan.variants)
        )

    def _try(self, name: str, variants: list[Variant]) -> dict[str, Any]:
        """What is found out about a model, as fields of its variants."""
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
        """The same after a few steps in each number format that was asked for; one that is slow gets a warning."""
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
        """For each variant `train_s` of a seed and `how`, by a few steps run now, or how that failed."""
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
        """What the worker at home answers, or how it failed; what has failed there does no harm to the next one."""
        found = self._workers[home].run(job, on_event, timeout_s=self._limit_s)
        if "refused" in found:
            raise ValueError(found["refused"])
        if found["status"] != "ok":
            self._workers[home].clear()
        return found


def _with_options(variant: Variant) -> str:
    """The model with the options that were changed, as `mlp hidden=64`."""
    options = variant.config["model_options"]
    return " ".join([variant.config["model"], *(f"{name}={value}" for name, value in options.items())])


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
