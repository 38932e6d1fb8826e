"""Registering, listing, selecting and building models by name."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from fmnist_zoo import create_model, list_models, register_model
from fmnist_zoo.registry import FAMILIES, get_spec, load_plugin, select_models
from fmnist_zoo.spec import convert_options, format_option, option_defaults, option_types


def test_all_is_one_model_of_each_family() -> None:
    names = select_models(["all"])
    assert names == list(FAMILIES)
    assert {get_spec(name).family for name in names} == set(FAMILIES)


def test_selection_keeps_order_and_drops_doubles() -> None:
    assert select_models(["lstm", "mlp", "l*", "mlp"]) == ["lstm", "mlp"]
    assert set(select_models(["tutorials"])) == set(list_models("tutorial_*"))


@pytest.mark.parametrize(
    ("selection", "hint"),
    [
        ("mpl", "did you mean 'mlp'"),
        ("transfomer", "did you mean 'transformer'"),
        ("zz*", "no model matches"),
        ("timm/resnet81", "did you mean 'resnet18'"),
    ],
)
def test_unknown_names_name_the_nearest(selection: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint.replace("(", r"\(")):
        select_models([selection])


def test_list_models_globs() -> None:
    assert list_models("tutorial_mlp_*") == sorted(name for name in list_models() if name.startswith("tutorial_mlp_"))
    assert "timm/resnet18" in list_models("timm/resnet1*")


@pytest.mark.usefixtures("own_registry")
def test_a_taken_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'mlp' is already taken by fmnist_zoo\.models\.mlp\.MLP"):
        register_model("mlp", family="mlp", summary="", reference="")(nn.Linear)


@pytest.mark.usefixtures("own_registry")
def test_a_default_for_an_option_that_does_not_exist_is_refused_at_once() -> None:
    def build(*, width: int = 3) -> nn.Module:
        return nn.Linear(784, width)

    with pytest.raises(ValueError, match=r"no option 'wdith'; did you mean 'width'\?"):
        register_model("mine", family="mlp", summary="", reference="", defaults={"wdith": 4})(build)


@pytest.mark.usefixtures("own_registry")
def test_a_plugin_file_registers_a_model_that_is_used_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\n"
        "from fmnist_zoo import register_model\n"
        "@register_model('plugged', family='mlp', summary='', reference='')\n"
        "def build(*, width: int = 10) -> nn.Module:\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, width))\n"
    )
    load_plugin(file)
    load_plugin(file)  # a second time is no duplicate
    model = create_model("plugged", width="12")
    assert isinstance(model, nn.Sequential) and isinstance(model[1], nn.Linear) and model[1].out_features == 12


def test_a_plugin_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing\.py is not a file"):
        load_plugin(tmp_path / "nothing.py")


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("bad.py", "raise RuntimeError('boom')", "failed: RuntimeError: boom"),
        ("bad.py", "def (", "failed: SyntaxError"),
        ("bad.py", "import sys; sys.exit(0)", "failed: SystemExit: 0"),
        ("bad", "", "doesn't end in .py"),
    ],
)
def test_a_plugin_that_fails_is_refused_with_the_reason(name: str, code: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(code)
    with pytest.raises(ValueError, match=reason):
        load_plugin(tmp_path / name)


def test_installed_entry_points_are_loaded(tmp_path: Path) -> None:
    """In a process of its own, with a distribution made for the purpose on its path."""
    (tmp_path / "outside.py").write_text(
        "from torch import nn\nfrom fmnist_zoo import register_model\n"
        "register_model('from_outside', family='mlp', summary='', reference='')(lambda: nn.Flatten())\n"
    )
    info = tmp_path / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fmnist_zoo.models]\noutside = outside\n")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import fmnist_zoo; print(fmnist_zoo.list_models('from_*'))"
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert result.stdout.strip() == "['from_outside']"


@pytest.mark.parametrize(
    ("name", "option", "value", "reason"),
    [
        ("mlp", "hidden", "512-x", "mlp.hidden='512-x' is not a list of whole numbers"),
        ("mlp", "hidden", "", "mlp.hidden='' is not a list of whole numbers"),
        ("mlp", "hidden", "0", "hidden=0: each value must be at least 1"),
        ("mlp", "hidden", 3.5, "not a list of whole numbers"),
        ("mlp", "activation", "rleu", "not one of 'relu', 'gelu'"),
        ("mlp", "dropout", "1.0", "dropout=1.0 must be a probability"),
        ("mlp", "dropout", "-0.1", "dropout=-0.1 must be a probability"),
        ("mlp", "depth", "3", "no option 'depth'"),
        ("cnn", "widths", "8-8-8-8-8", "28 pixels halve 4 times"),
        ("cnn", "depth", "1-1", "depth has 2 entries, widths 3"),
        ("unet_encoder", "widths", "8-8-8-8-8", "don't fit into 28 pixels"),
        ("unet_encoder", "stem_stride", "3", "stem_stride=3 must be 1 or 2"),
        ("lstm", "rows_per_step", "3", "must divide 28"),
        ("lstm", "bidirectional", "maybe", "is not true or false"),
        ("lstm", "cell", "gru2", "is not one of"),
        ("transformer", "patch", "5", "must divide 28"),
        ("transformer", "heads", "3", "must divide dim"),
        ("transformer", "mlp_ratio", "0.001", "leaves no hidden unit in the perceptron"),
    ],
)
def test_nonsense_options_are_refused_with_the_reason(name: str, option: str, value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        create_model(name, **{option: value})


@pytest.mark.parametrize("name", list_models())
def test_every_option_reads_back_what_it_is_written_as(name: str) -> None:
    spec = get_spec(name)
    kinds = option_types(spec.build)
    values = option_defaults(spec)
    assert kinds is not None and set(kinds) == set(values)
    assert convert_options(name, kinds, {key: format_option(value) for key, value in values.items()}) == values


def test_changed_names_only_what_differs_from_the_default() -> None:
    assert get_spec("gru").changed({"cell": "gru", "hidden": "64"}) == {"hidden": "64"}
    assert get_spec("gru").changed({"cell": "lstm"}) == {"cell": "lstm"}
    assert get_spec("timm/resnet18").changed({"drop_rate": "0.1"}) == {"drop_rate": "0.1"}
    assert get_spec("timm/resnet18").changed({"channels": "(8, 8, 8, 16)"}) == {"channels": "(8, 8, 8, 16)"}
