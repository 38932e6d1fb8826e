"""From options to variants: axes, labels, tracks, and everything that must be refused before a run starts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sweep.config import EQUAL, RunConfig
from benchmarks.sweep.display import Display
from benchmarks.sweep.plan import WORKLOAD, Plan, Planner, make_plan
from benchmarks.workers.client import OnEvent
from benchmarks.workers.slot import InProcess
from fmnist_zoo.registry import get_spec


def plan(**options: Any) -> Plan:
    return make_plan(RunConfig(device="cpu", **options))


def labels(**options: Any) -> list[str]:
    return [variant.label for variant in plan(**options).variants]


def test_the_main_job_is_the_five_families_once_each_on_equal_terms() -> None:
    made = plan()
    assert [variant.label for variant in made.variants] == ["mlp", "cnn", "unet_encoder", "lstm", "transformer"]
    assert made.seeds == (0,)
    for variant in made.variants:
        config = variant.config
        assert (config["track"], config["preset"]) == ("equal", "quick")
        assert (config["num_train"], config["num_val"]) == (55_000, 5_000)
        own = {"lr", "weight_decay", "budget", "augmentation", "optimizer"}
        shared = {name: value for name, value in config["recipe"].items() if name not in own}
        assert shared == {name: value for name, value in EQUAL.as_dict().items() if name in shared}
        assert (config["recipe"]["budget"], config["recipe"]["optimizer"]) == ("epochs:5", "muon")


def test_axes_multiply_and_labels_say_only_what_varies() -> None:
    assert set(labels(models=("mlp",), optimizer=("sgd", "adam"), lr=(0.01, 0.001))) == {
        "mlp lr=0.01 optimizer=sgd",
        "mlp lr=0.001 optimizer=sgd",
        "mlp lr=0.01 optimizer=adam",
        "mlp lr=0.001 optimizer=adam",
    }
    assert labels(models=("cnn",), precision=("fp32", "bf16"), engine=("eager",)) == ["cnn fp32", "cnn bf16"]
    assert labels(models=("mlp",), set=("mlp.hidden=64", "mlp.hidden=64-32")) == ["mlp hidden=64", "mlp hidden=64-32"]


def test_an_activation_goes_to_the_models_that_have_one() -> None:
    made = plan(models=("mlp", "lstm"), activation=("silu", "tanh"))
    found = [(variant.config["model"], variant.config["model_options"]) for variant in made.variants]
    assert found == [("mlp", {"activation": "silu"}), ("mlp", {"activation": "tanh"}), ("lstm", {})]


def test_what_is_the_same_is_run_once() -> None:
    assert len(plan(models=("mlp",), lr=(0.01, 0.01)).variants) == 1


def test_tutorial_nets_alone_follow_their_tutorials() -> None:
    made = plan(models=("tutorials",))
    recipes = {variant.config["model"]: variant.config["recipe"] for variant in made.variants}
    assert all(variant.config["track"] == "published" and variant.config["num_val"] == 0 for variant in made.variants)
    first = recipes["tutorial_mlp_128_64"]
    assert (first["optimizer"], first["lr"], first["batch_size"], first["budget"]) == ("adam", 1e-3, 64, "epochs:10")
    sgd = recipes["tutorial_mlp_512_128"]
    assert (sgd["optimizer"], sgd["lr"], sgd["momentum"], sgd["input_scaling"]) == ("sgd", 0.01, 0.9, "symmetric")
    nll = recipes["tutorial_mlp_log_softmax"]
    assert (nll["loss"], nll["lr"], nll["budget"], nll["input_scaling"]) == ("nll", 3e-3, "epochs:15", "symmetric")
    assert all(recipe["schedule"] == "constant" and recipe["lr_warmup_fraction"] == 0 for recipe in recipes.values())


def test_with_others_they_run_on_equal_terms() -> None:
    made = plan(models=("mlp", "tutorial_mlp_256"))
    assert {variant.config["track"] for variant in made.variants} == {"equal"}


def test_a_track_that_a_model_has_no_recipe_for_says_so() -> None:
    (variant,) = plan(models=("gru",), track="published").variants
    assert [flag["evidence"] for flag in variant.flags] == ["the model has no published recipe; used the equal track's"]
    (variant,) = plan(models=("timm/resnet18",)).variants
    (flag,) = variant.flags
    assert flag["evidence"] == "learning rate and weight decay are not tuned for this model with muon"


def test_rate_and_decay_are_those_tuned_for_the_optimizer_unless_given() -> None:
    variants = plan(models=("cnn",), optimizer=("muon", "adamw", "sgd")).variants
    recipes = [variant.config["recipe"] for variant in variants]
    tuned = get_spec("cnn").tuned
    for recipe in recipes[:2]:
        values = tuned[recipe["optimizer"]]
        assert (recipe["lr"], recipe["weight_decay"]) == (values["lr"], values["weight_decay"])
    assert recipes[0]["lr"] != recipes[1]["lr"] != recipes[2]["lr"]
    assert [len(variant.flags) for variant in variants] == [0, 0, 1]
    (given,) = plan(models=("cnn",), optimizer=("adamw",), lr=(0.123,)).variants
    assert given.config["recipe"]["lr"] == 0.123
    assert given.config["recipe"]["weight_decay"] == tuned["adamw"]["weight_decay"]


@pytest.mark.parametrize(("preset", "seeds", "epochs"), [("quick", 1, 5), ("standard", 3, 20), ("full", 5, 60)])
def test_presets(preset: Any, seeds: int, epochs: int) -> None:
    made = plan(models=("mlp",), preset=preset)
    assert len(made.seeds) == seeds
    assert made.variants[0].config["recipe"]["budget"] == f"epochs:{epochs}"
    assert made.variants[0].config["recipe"]["augmentation"] == ("none" if preset == "quick" else "flip")
    assert made.variants[0].config["recipe"]["optimizer"] == ("muon" if preset == "quick" else "adamw")
    assert ("latency" in made.measures.measure) == (preset != "quick")


def test_a_key_depends_on_the_experiment_and_not_on_the_sweep_it_is_in() -> None:
    alone = plan(models=("mlp",)).variants[0]
    among = plan(models=("all",)).variants[0]
    other = plan(models=("mlp",), lr=(0.5,)).variants[0]
    assert alone.key == among.key != other.key
    assert plan(models=("mlp",), set=("mlp.hidden=256-128",)).variants[0].key == alone.key


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"models": ("mpl",)}, "did you mean 'mlp'"),
        ({"models": ()}, "--models is empty"),
        ({"seeds": 0}, "--seeds 0 must be between"),
        ({"seeds": 10**20}, "must be between"),
        ({"models": ("mlp",), "set": ("mlp.num_classes=20",)}, "must return logits"),
        ({"models": ("mlp",), "batch_size": (1,)}, "batch normalisation of mlp"),
        ({"models": ("timm/resnet18",), "set": ("timm/resnet18.pretrained=True",)}, "trained from scratch"),
        ({"clip_grad_norm": (0.0,)}, "clip_grad_norm 0.0 must be above 0"),
        ({"budget": ("5",)}, "epochs:N"),
        ({"lr": (-1.0,)}, "lr -1.0"),
        ({"augmentation": ("spin",)}, "spin"),
        ({"batch_size": (60_000,)}, "exceeds the 55000 training images"),
        ({"models": ("mlp",), "set": ("mlp.hidden",)}, "not of the form MODEL.OPTION=VALUE"),
        ({"models": ("mlp",), "set": ("cnn.widths=8",)}, "'cnn' is not among --models"),
        ({"models": ("mlp",), "set": ("mlp.hiden=8",)}, "did you mean 'hidden'"),
        ({"models": ("mlp",), "set": ("mlp.hidden=0",)}, "hidden=0"),
        ({"models": ("mlp",), "activation": ("rleu",)}, "not one of"),
        ({"models": ("mlp",), "loss": ("nll",)}, "ends in log-softmax"),
        ({"models": ("mlp",), "precision": ("tf32",)}, "tf32 needs"),
        ({"models": ("mlp",), "engine": ("graph",)}, "engine graph .* use eager or compile"),
        ({"plugin": (Path("nowhere.py"),)}, "is not a file"),
    ],
)
def test_nonsense_is_refused_before_anything_runs(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        plan(**options)


def test_budgets_that_differ_in_the_last_digit_are_two_variants() -> None:
    assert len(plan(models=("mlp",), budget=("flops:12345678", "flops:12345679")).variants) == 2


BROKEN = {
    "raises": (
        "def forward(self, images): return self.nothing(images)",
        "raises can't be built and run: AttributeError",
    ),
    "leaves": ("def forward(self, images): raise SystemExit(0)", "leaves can't be built and run: SystemExit"),
    "refuses": ("def __init__(self): raise ValueError('whatever')", "refuses can't be built: whatever"),
    "pair": ("def forward(self, images): return self.layer(images.flatten(1)), 1", "pair returns a tuple"),
    "none": (
        "def forward(self, images): return self.layer(images.flatten(1)) * float('nan')",
        "none returns NaN logits",
    ),
    "centred": (
        "def forward(self, images): return self.layer((images - images.mean(0)).flatten(1))",
        "centred: logits depend on the rest of the batch",
    ),
    "fixed": (
        "def forward(self, images): return self.layer.requires_grad_(False)(images.flatten(1))",
        "fixed has no trainable parameter",
    ),
    "looks": (
        "def forward(self, images): return self.layer(images.flatten(1)) * (1 if images.sum().item() else 2)",
        "the FLOPs of looks can't be counted: RuntimeError: .*meta.*may not read tensor values",
    ),
}


@pytest.mark.usefixtures("own_registry")
def test_a_model_that_is_broken_is_a_failure_of_its_own(tmp_path: Path) -> None:
    plugin = tmp_path / "broken.py"
    plugin.write_text("from torch import nn\nfrom fmnist_zoo import register_model\n")
    for name, (method, _) in BROKEN.items():
        with plugin.open("a") as file:
            file.write(
                f"@register_model({name!r}, family='mlp', summary='', reference='')\n"
                "class Broken(nn.Module):\n"
                "    def __init__(self):\n        super().__init__()\n        self.layer = nn.Linear(784, 10)\n"
                f"    {method}\n"
            )
    made = plan(models=(*BROKEN, "mlp", "timm/resnet18"), set=("timm/resnet18.name=3",), plugin=(plugin,))
    *broken, good, timm = made.variants
    for variant in broken:
        assert variant.failure is not None and variant.failure["status"] == "failed"
        assert re.search(BROKEN[variant.label][1], variant.failure["error"]), variant.failure
        assert variant.num_params is None and variant.code is not None and variant.plugins == (str(plugin),)
    assert good.failure is None and good.num_params == 235_914 and good.plugins == ()
    assert timm.failure is not None and "can't be built and run: TypeError" in timm.failure["error"]


class Spoiled(InProcess):
    """A worker that the first model it tries leaves broken."""

    def __init__(self) -> None:
        super().__init__(WORKLOAD)
        self.num_jobs = 0

    def run(self, job: Mapping[str, Any], on_event: OnEvent, *, timeout_s: float | None = None) -> dict[str, Any]:
        self.num_jobs += 1
        if self.num_jobs > 1:
            return {"status": "failed", "error": "spoiled"}
        return super().run(job, on_event, timeout_s=timeout_s)


def test_a_model_fails_only_in_a_process_that_no_other_model_has_used() -> None:
    options = RunConfig(models=("mlp", "tutorial_mlp_128_64", "cnn_s"), device="cpu")
    with Planner(options, Display(), Spoiled) as planner:
        plan = planner.tried(planner.expanded())
    assert [(one.label, one.failure) for one in plan.variants] == [(name, None) for name in options.models]
