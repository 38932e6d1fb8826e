"""The checksum of the code: it follows what a model and its training do, and not what is said of them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from benchmarks import code
from benchmarks.code import code_checksum
from fmnist_zoo.registry import create_model, get_spec, load_plugin

MODEL = '''
"""A model."""
from torch import nn
from helper_of_a_plugin import scaled
from fmnist_zoo import register_model

@register_model("{name}", family="mlp", summary="", reference="")
class Linear(nn.Module):
    """Linear."""
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10)  # one
    def forward(self, images):
        return scaled(self.layer(images.flatten(1)))
'''
HELPER = "def scaled(logits):\n    return 2 * logits\n"


@pytest.fixture
def checksum_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_registry: None) -> Callable[[str, str], str]:
    """The checksum of a plug-in of this text with a helper of that text beside it."""
    monkeypatch.syspath_prepend(tmp_path)
    count = 0

    def checksum(text: str, helper: str) -> str:
        nonlocal count
        count += 1
        name = f"of_a_test_{count}"
        (tmp_path / "helper_of_a_plugin.py").write_text(helper)
        monkeypatch.delitem(sys.modules, "helper_of_a_plugin", raising=False)
        plugin = tmp_path / f"{name}.py"
        plugin.write_text(text.replace("{name}", "of_a_test"))
        monkeypatch.delitem(__import__("fmnist_zoo.registry").registry._REGISTRY, "of_a_test", raising=False)
        load_plugin(plugin)
        return code_checksum(get_spec("of_a_test").build, create_model("of_a_test"))

    return checksum


def test_a_plugin_counts_with_what_it_uses_but_not_its_words(checksum_of: Callable[[str, str], str]) -> None:
    plain = checksum_of(MODEL, HELPER)
    reworded = MODEL.replace('"""Linear."""', '"""Linear, said otherwise."""').replace("# one", "# the only one")
    assert checksum_of(reworded, "# a comment\n\n" + HELPER) == plain
    assert checksum_of(MODEL.replace("flatten(1)", "flatten(1) / 2"), HELPER) != plain
    assert checksum_of(MODEL, HELPER.replace("2 *", "3 *")) != plain


@pytest.mark.parametrize("line", ["from helper_of_a_plugin import TIMES", "from helper_of_a_plugin import *"])
def test_a_number_that_a_plugin_takes_from_another_file_counts(
    line: str, checksum_of: Callable[[str, str], str]
) -> None:
    model = MODEL.replace("from helper_of_a_plugin import scaled", line).replace("scaled(", "TIMES * (")
    assert checksum_of(model, "TIMES = 2\n") != checksum_of(model, "TIMES = 3\n")
    assert checksum_of(model, "TIMES = 2\n") == checksum_of(model, "TIMES = 2  # a comment\n")


def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[str], str]) -> str:
    """The checksum of `mlp` where one of the package's files reads otherwise."""
    real = code._program

    def changed(path: Path) -> str:
        if path.name != name:
            return real(path)
        other = tmp_path / name
        other.write_text(change(path.read_text(encoding="utf-8")))
        return real(other)

    with monkeypatch.context() as patch:
        patch.setattr(code, "_program", changed)
        return code_checksum(get_spec("mlp").build, create_model("mlp"))


@pytest.mark.parametrize("name", ["mlp.py", "layers.py", "base.py", "fit.py", "muon.py", "loader.py", "evaluation.py"])
def test_model_and_training_count(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = code_checksum(get_spec("mlp").build, create_model("mlp"))
    assert copied(tmp_path, monkeypatch, name, lambda text: text + "\nANOTHER = 1\n") != plain
    assert copied(tmp_path, monkeypatch, name, lambda text: text + "\n# a word\n") == plain


@pytest.mark.parametrize("name", ["cnn.py", "choose.py", "registry.py", "transport.py"])
def test_other_models_and_what_decides_nothing_do_not(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = code_checksum(get_spec("mlp").build, create_model("mlp"))
    assert copied(tmp_path, monkeypatch, name, lambda text: text + "\nANOTHER = 1\n") == plain


def test_a_net_of_timm_is_as_old_as_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, model, net = get_spec("timm/resnet10t"), create_model("timm/resnet10t"), create_model("mlp")
    before = code_checksum(spec.build, model), code_checksum(get_spec("mlp").build, net)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    after = code_checksum(spec.build, model), code_checksum(get_spec("mlp").build, net)
    assert before[0] != after[0] and before[1] == after[1]


def test_layers_of_torch_alone_need_nothing_else() -> None:
    assert code_checksum(lambda: nn.Linear(784, 10), nn.Linear(784, 10)) != code_checksum(
        get_spec("mlp").build, create_model("mlp")
    )
