"""Tables for a terminal: the models there are, and what a plan would run."""

from __future__ import annotations

from tabulate import tabulate

from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.plan import Plan, Variant
from fmnist_zoo.data.datasets import Dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.recipe import Recipe
from fmnist_zoo.registry import create_model, get_spec, list_models, load_plugin, select_models
from fmnist_zoo.spec import ModelSpec, format_option, option_defaults, option_types
from fmnist_zoo.training.budget import StepPlan, budget_flops, seconds_per_step
from fmnist_zoo.training.choose import choose
from fmnist_zoo.training.device import resolve_device
from fmnist_zoo.training.fit import split_dataset, to_device
from fmnist_zoo.training.ledger import Ledger
from fmnist_zoo.training.step import TrainingStep


def model_table(options: RunConfig) -> str:
    """The registered models, or those that --models selects: family, parameters, options with their defaults."""
    for path in options.plugin:
        load_plugin(path)
    names = list_models() if options.models == RunConfig().models else select_models(options.models)
    rows = []
    for name in names:
        spec = get_spec(name)
        num_params = sum(parameter.numel() for parameter in create_model(name).parameters())
        rows.append([name, spec.family, f"{num_params:,}", spec.summary, _options(spec)])
    headers = ["model", "family", "parameters", "what it is", "options (--set MODEL.OPTION=VALUE)"]
    return tabulate(rows, headers, disable_numparse=True, maxcolwidths=[None, None, None, 40, 60])


def plan_table(plan: Plan, dataset: Dataset) -> str:
    """What a plan would run, with the training time that a few steps of each variant, run now, let one expect."""
    rows: list[list[object]] = []
    total_s = 0.0
    for variant in plan.variants:
        train_s, how = _estimate(variant, plan, dataset)
        total_s += train_s * len(plan.seeds)
        config = variant.config
        rows.append(
            [
                variant.label,
                f"{variant.num_params:,}",
                config["track"],
                config["recipe"]["budget"],
                config["recipe"]["batch_size"],
                how,
                len(plan.seeds),
                f"{train_s:,.1f}",
            ]
        )
    headers = ["variant", "parameters", "track", "budget", "batch", "precision, engine", "seeds", "training s a seed"]
    table = tabulate(rows, headers, disable_numparse=True)
    num_runs = len(plan.variants) * len(plan.seeds)
    return (
        f"{table}\n\n{len(plan.variants)} variants, {num_runs} runs on {plan.device}: about {total_s:,.0f} s of "
        "training by a few measured steps of each; starting processes, evaluation and measuring come on top."
    )


def _options(spec: ModelSpec) -> str:
    kinds = option_types(spec.build)
    if kinds is None:
        return "any of timm's"
    values = option_defaults(spec)
    return ", ".join(f"{name}={format_option(values[name])}" for name in kinds if name != "num_classes")


def _estimate(variant: Variant, plan: Plan, dataset: Dataset) -> tuple[float, str]:
    """Seconds of training for one seed, and the precision and engine it would use."""
    config, device = variant.config, resolve_device(plan.device)
    recipe = Recipe.from_dict(config["recipe"])
    train, _ = split_dataset(dataset, config["num_val"], device)
    scale = PixelScale.of(recipe.input_scaling, dataset)
    loader = TrainLoader(train, batch_size=recipe.batch_size, augmentation=recipe.augmentation, seed=0)
    model = to_device(create_model(config["model"], **config["model_options"]), device)
    image_flops = budget_flops(recipe, model)
    # The compiler is left out: an estimate that takes as long as compiling is none.
    engine = "eager" if config["engine"] == "auto" else config["engine"]
    precision = None if config["precision"] == "auto" else config["precision"]
    choice = choose(model, recipe, loader, scale, precision=precision, engine=engine)  # type: ignore[arg-type]
    step = TrainingStep(model, recipe, scale=scale, precision=choice.precision, engine=choice.engine)
    step.warm_up(loader.chunks(0, 2))
    num_steps = StepPlan(step, loader, Ledger(), image_flops=image_flops).num_steps
    return seconds_per_step(step, loader, Ledger()) * num_steps, f"{choice.precision} {choice.engine}"
