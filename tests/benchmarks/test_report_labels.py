"""Labels say what varies among the rows of one table, and tell every two rows apart."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.records.row_labels import variant_labels
from benchmarks.records.schema import Config
from tests.benchmarks.sample_records import make_config

EXAMPLES: dict[str, list[tuple[Config, str]]] = {
    "models alone": [(make_config("mlp"), "mlp"), (make_config("cnn"), "cnn")],
    "one row": [(make_config("mlp", options={"hidden": "512"}, lr=0.1), "mlp")],
    "an option against its default": [
        (make_config("mlp"), "mlp"),
        (make_config("mlp", options={"hidden": "512-256"}), "mlp hidden=512-256"),
        (make_config("cnn"), "cnn"),
    ],
    "an option that all have": [
        (make_config("mlp", options={"activation": "gelu"}), "mlp"),
        (make_config("cnn", options={"activation": "gelu"}), "cnn"),
    ],
    "a sweep over rates": [(make_config(lr=0.01), "mlp lr=0.01"), (make_config(lr=1e-05), "mlp lr=1e-05")],
    "rates that models were tuned to": [(make_config("mlp", lr=0.01), "mlp"), (make_config("cnn", lr=0.003), "cnn")],
    "another recipe on the equal track": [
        (make_config("mlp", batch_size=64), "mlp batch_size=64"),
        (make_config("cnn"), "cnn batch_size=256"),
    ],
    "recipes of their own": [
        (make_config("mlp", track="best", batch_size=64, optimizer="sgd"), "mlp"),
        (make_config("cnn", track="best"), "cnn"),
    ],
    "precision and engine": [
        (make_config("cnn", precision="fp32", engine="eager"), "cnn fp32 eager"),
        (make_config("cnn", precision="bf16", engine="compile"), "cnn bf16 compile"),
    ],
    "one engine": [
        (make_config("cnn", precision="fp32", engine="eager"), "cnn fp32"),
        (make_config("cnn", precision="bf16", engine="eager"), "cnn bf16"),
    ],
    "several axes": [
        (
            make_config(options={"b": True, "a": 2}, optimizer="sgd", precision="fp32"),
            "mlp a=2 b=true ema_decay=none optimizer=sgd fp32",
        ),
        (make_config(ema_decay=0.99, precision="bf16"), "mlp ema_decay=0.99 optimizer=adamw bf16"),
    ],
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_label_says_what_varies_and_nothing_else(example: str) -> None:
    configs, labels = zip(*EXAMPLES[example], strict=True)
    assert variant_labels(configs) == list(labels)
    assert variant_labels(configs[::-1]) == list(labels[::-1])


def test_there_may_be_no_rows() -> None:
    assert variant_labels([]) == []


def test_values_that_print_alike_are_told_apart_by_the_key() -> None:
    labels = variant_labels([make_config(options={"x": value}) for value in (1, "1")])
    assert len(set(labels)) == 2
    assert all(label.startswith("mlp #") for label in labels)


OPTIONS = st.dictionaries(
    st.sampled_from(["hidden", "lr", "x"]), st.integers(0, 2) | st.sampled_from(["1", "none"]) | st.none()
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "lr": st.floats(0, 1), "optimizer": st.sampled_from(["sgd", "adam"]),
        "precision": st.sampled_from(["fp32", "eager"]), "engine": st.sampled_from(["eager", "fp32"]),
        "track": st.sampled_from(["equal", "best"]),
    },
)  # fmt: skip
CONFIGS = st.builds(
    lambda model, options, changes: make_config(model, options=options, **changes),
    st.sampled_from(["mlp", "cnn"]), OPTIONS, CHANGES,
)  # fmt: skip


@given(st.lists(CONFIGS, max_size=6))
def test_rows_that_differ_never_share_a_label(configs: list[Any]) -> None:
    labels = variant_labels(configs)
    for left, one in zip(labels, configs, strict=True):
        for right, other in zip(labels, configs, strict=True):
            assert (left == right) == (one == other)
