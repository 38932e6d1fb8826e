"""The checksum of the code: it follows what a model and its training do, and neither words nor places."""

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmarks.sweep.code_checksum import canonical_programs, code_checksum, program_files
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
COUNTED = {
    "data.loader", "data.splits", "evaluation", "models.base", "models.layers", "models.mlp", "processor",
    "recipe",
    "training.averaging", "training.budget", "training.determinism", "training.device", "training.fit",
    "training.graph", "training.modules", "training.muon", "training.optimizers", "training.precision",
    "training.schedule", "training.step", "training.whole",
}  # fmt: skip


@pytest.fixture
def checksum_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_registry: None) -> Callable[..., str]:
    """The checksum of a plug-in of this text with a helper of that text beside it."""
    monkeypatch.syspath_prepend(tmp_path)
    count = 0

    def checksum(text: str, helper: str, name: str = "helper_of_a_plugin") -> str:
        nonlocal count
        count += 1
        (tmp_path / f"{name}.py").write_text(helper)
        monkeypatch.delitem(sys.modules, name, raising=False)
        plugin = tmp_path / f"of_a_test_{count}.py"
        plugin.write_text(text.replace("{name}", "of_a_test"))
        monkeypatch.delitem(__import__("fmnist_zoo.registry").registry._REGISTRY, "of_a_test", raising=False)
        load_plugin(plugin)
        return code_checksum(get_spec("of_a_test").build, create_model("of_a_test"))

    return checksum


def test_a_plugin_counts_with_what_it_uses_but_not_its_words(checksum_of: Callable[..., str]) -> None:
    plain = checksum_of(MODEL, HELPER)
    reworded = MODEL.replace('"""Linear."""', '"""Linear, said otherwise."""').replace("# one", "# the only one")
    assert checksum_of(reworded, "# a comment\n\n" + HELPER) == plain
    assert checksum_of(MODEL.replace("helper_of_a_plugin", "helper_renamed"), HELPER, "helper_renamed") == plain
    assert checksum_of(MODEL.replace("flatten(1)", "flatten(1) / 2"), HELPER) != plain
    assert checksum_of(MODEL, HELPER.replace("2 *", "3 *")) != plain


@pytest.mark.parametrize("line", ["from helper_of_a_plugin import TIMES", "from helper_of_a_plugin import *"])
def test_a_number_that_a_plugin_takes_from_another_file_counts(line: str, checksum_of: Callable[..., str]) -> None:
    model = MODEL.replace("from helper_of_a_plugin import scaled", line).replace("scaled(", "TIMES * (")
    assert checksum_of(model, "TIMES = 2\n") != checksum_of(model, "TIMES = 3\n")
    assert checksum_of(model, "TIMES = 2\n") == checksum_of(model, "TIMES = 2  # a comment\n")


def test_a_module_that_is_imported_while_a_function_runs_counts(checksum_of: Callable[..., str]) -> None:
    line = "from helper_of_a_plugin import scaled\n"
    late = MODEL.replace(line, "").replace("        return scaled(", f"        {line}        return scaled(")
    assert checksum_of(late, HELPER) == checksum_of(MODEL, HELPER)
    assert checksum_of(late, HELPER) != checksum_of(late, HELPER.replace("2 *", "3 *"))


def test_what_counts_of_this_package() -> None:
    """A module more or less in this list makes every record one of other code."""
    files = program_files(get_spec("mlp").build, create_model("mlp"))
    assert {name.removeprefix("fmnist_zoo.") for name in files} == COUNTED
    assert {name: path.stem for name, path in files.items()} == {name: name.rpartition(".")[2] for name in files}


def test_a_net_of_timm_is_as_old_as_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, model, net = get_spec("timm/resnet10t"), create_model("timm/resnet10t"), create_model("mlp")
    before = code_checksum(spec.build, model), code_checksum(get_spec("mlp").build, net)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    after = code_checksum(spec.build, model), code_checksum(get_spec("mlp").build, net)
    assert before[0] != after[0] and before[1] == after[1]
    assert all(name.startswith("fmnist_zoo.") for name in program_files(spec.build, model))


def test_layers_of_torch_alone_need_nothing_else() -> None:
    assert code_checksum(lambda: nn.Linear(784, 10), nn.Linear(784, 10)) != code_checksum(
        get_spec("mlp").build, create_model("mlp")
    )


SOURCES = {
    name: path.read_text(encoding="utf-8")
    for name, path in program_files(get_spec("mlp").build, create_model("mlp")).items()
}


def programs(sources: dict[str, str]) -> list[str]:
    return canonical_programs({name: text.encode() for name, text in sources.items()})


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_a_move_is_no_change(data: st.DataObject) -> None:
    """Modules of this package under other names, in another order."""
    places = st.from_regex(r"([a-z]_\.){0,2}[a-z]{1,4}_moved", fullmatch=True)
    new = data.draw(st.lists(places, min_size=len(SOURCES), max_size=len(SOURCES), unique=True), "places")
    names = dict(zip(SOURCES, (f"fmnist_zoo.{place}" for place in new), strict=True))
    pattern = re.compile(rf"(?<=from )({'|'.join(map(re.escape, names))})(?= import)")
    moved = {names[name]: pattern.sub(lambda found: names[found[0]], text) for name, text in SOURCES.items()}
    assert programs(dict(data.draw(st.permutations(list(moved.items())), "order"))) == programs(SOURCES)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(sorted(SOURCES)), st.data())
def test_a_number_or_a_sign_is_a_change_and_words_are_none(name: str, data: st.DataObject) -> None:
    tree = ast.parse(SOURCES[name])
    assert programs({**SOURCES, name: f'"""Other words."""\n{ast.unparse(tree)}\n# a comment'}) == programs(SOURCES)
    places = [
        node for node in ast.walk(tree) if isinstance(node, ast.BinOp) or isinstance(getattr(node, "value", ""), int)
    ]
    match data.draw(st.sampled_from(places)):
        case ast.Constant() as number:
            number.value = 7919
        case ast.BinOp() as sum_:
            sum_.op = ast.Sub() if isinstance(sum_.op, ast.Add) else ast.Add()
    assert programs({**SOURCES, name: ast.unparse(tree)}) != programs(SOURCES)


USER = "{imports}\n\ndef used(x):\n    return f(x)\n"
"""A module whose `f` is told by its imports."""


def user(imports: str) -> list[str]:
    return programs({
        "p.__init__": "", "p.one": "def f(x): return x\ndef g(x): return -x\n", "p.two": "def f(x): return 2 * x\n",
        "p.user": USER.format(imports=imports),
    })  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from p.one import f", "from .one import f"),
        ("from p.one import f\nfrom torch import nn", "import torch.nn as nn\nfrom p.one import f"),
        ("from p.one import f, g", "from p.one import g\nfrom p.one import f"),
        (
            "from p.one import f\nfrom p.other import A",
            "from p.one import f\nif TYPE_CHECKING:\n    from p.more import A",
        ),
        ("from p import one\nf = one.f", "import p.one\nf = p.one.f"),
        ("from p import one\nf = one.f", "from . import one as another\nf = another.f"),
    ],
)
def test_how_an_import_is_written_is_no_change(before: str, after: str) -> None:
    assert user(before) == user(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from p.one import f", "from p.two import f"),
        ("from p.one import f", "from p.one import g as f"),
        ("from p import one as m\nf = m.f", "from p import two as m\nf = m.f"),
        ("from torch.nn.functional import relu as f", "from torch.nn.functional import gelu as f"),
        ("from torch import tanh as f", "from math import tanh as f"),
        (
            "try:\n    from p.one import f\nexcept ImportError:\n    from p.two import f",
            "try:\n    from p.two import f\nexcept ImportError:\n    from p.one import f",
        ),
    ],
)
def test_what_an_import_brings_is_a_change(before: str, after: str) -> None:
    assert user(before) != user(after)
