"""Selection of a section's figures, from the data that it has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

from benchmarks.report.cells import Frame, by_variant, differs
from benchmarks.report.columns import COLUMNS
from benchmarks.report.figures.accuracy import accuracy_figure, accuracy_rows
from benchmarks.report.figures.batches import batches_figure, has_rates
from benchmarks.report.figures.classes import classes_figure
from benchmarks.report.figures.confusion import Confusion, best_two, confusion_figure, confusions, difference_figure
from benchmarks.report.figures.curves import curves_of, gap_figure, has_gap, has_seconds, learning_figure
from benchmarks.report.figures.fronts import COSTS, front_figure, priced_rows
from benchmarks.report.figures.ledger import ledger_figure, ledger_rows
from benchmarks.report.figures.reliability import reliability_figure
from benchmarks.report.figures.roofline import roofline_figure, roofline_points, roofline_roofs
from benchmarks.report.figures.style import Sketch, best_of_each_model
from benchmarks.report.figures.targets import profiles_of, targets_figure
from benchmarks.report.frames import SectionFrames
from benchmarks.report.history import history_frame
from benchmarks.report.text import file_name

MOST_MODELS = 10
"""Models in figures by class, each with its best row."""
NAMED = 6
"""Rows named in alternative texts."""


def section_sketches(
    part: SectionFrames, findings: Mapping[str, Frame], words: str, *, new_models: Collection[str] | None
) -> Iterator[Sketch]:
    """The figures of a section: all for a main one, else accuracy, training time and batch sizes.

    Args:
        part: the section's frames.
        findings: its further frames, by file name.
        words: its conditions.
        new_models: models without a confusion matrix in earlier sections; None if the section isn't a main one.
    """
    costs = [cost for cost in COSTS if cost == "train_s" or new_models is not None]
    yield from _accuracy_sketches(part, findings["fronts.csv"], words, costs)
    if new_models is not None:
        yield from _learning_sketches(part, findings["time_to_accuracy.csv"], words)
        yield from _cost_sketches(part, words)
    if has_rates(part.section):
        alt = f"Images per second by batch size: {words}"
        yield Sketch(kind="batches", name="batch-sizes", alt=alt, draw=partial(batches_figure, part.section, words))
    if new_models is not None:
        yield from _class_sketches(part, findings["reliability.csv"], words, new_models)


def _accuracy_sketches(part: SectionFrames, fronts: Frame, words: str, costs: Sequence[str]) -> Iterator[Sketch]:
    rows = accuracy_rows(part.accuracy)
    if len(rows) < 2:
        return
    seeds = {row.label: row.test_top1_pct for row in part.section.rows}
    values = _listed([f"{row['variant']} {row['test_top1_pct']:.2f}" for row in rows])
    yield Sketch(
        kind="accuracy", name="accuracy", alt=f"Test top-1 in percent with 95% intervals: {values}",
        draw=partial(accuracy_figure, rows, seeds, words),
    )  # fmt: skip
    for cost in costs:
        priced = priced_rows(part, fronts, cost)
        front = [row["variant"] for row in sorted(priced, key=lambda row: row["mean_cost"]) if row["on_front"] == "yes"]
        if len({row["mean_cost"] for row in priced}) > 1 and front:
            what = COLUMNS[cost].called
            yield Sketch(
                kind="fronts", name=f"accuracy-{what.replace(' ', '-')}",
                alt=f"Test accuracy against {what}; on the front: {_listed(front)}",
                draw=partial(front_figure, priced, cost, words),
            )  # fmt: skip


def _learning_sketches(part: SectionFrames, targets: Frame, words: str) -> Iterator[Sketch]:
    curves = curves_of(history_frame(part.section))
    if curves:
        of_rows = _listed(list(curves))
        # Epochs of different budgets are not comparable.
        if not differs([row["budget"] for row in part.accuracy]):
            alt = f"Loss and accuracy by epoch: {of_rows}"
            draw = partial(learning_figure, curves, "epoch", words)
            yield Sketch(kind="learning", name="learning-epochs", alt=alt, draw=draw)
        if has_seconds(curves):
            alt = f"Loss and accuracy by training time: {of_rows}"
            draw = partial(learning_figure, curves, "elapsed_s", words)
            yield Sketch(kind="learning", name="learning-seconds", alt=alt, draw=draw)
        if has_gap(curves):
            alt = f"Gap between training and validation, in loss and accuracy, by epoch: {of_rows}"
            yield Sketch(kind="learning", name="learning-gap", alt=alt, draw=partial(gap_figure, curves, words))
    if profiles := profiles_of(targets):
        alt = f"Training time to reach a validation accuracy: {_listed(list(profiles))}"
        draw = partial(targets_figure, profiles, words)
        yield Sketch(kind="learning", name="time-to-accuracy", alt=alt, draw=draw)


def _cost_sketches(part: SectionFrames, words: str) -> Iterator[Sketch]:
    if rows := ledger_rows(part.section):
        alt = f"Wall time of a run by phase: {_listed([row['variant'] for row in rows])}"
        yield Sketch(kind="ledger", name="ledger", alt=alt, draw=partial(ledger_figure, rows, words))
    points, roofs = roofline_points(part), roofline_roofs(part)
    if points and roofs is not None:
        draw = partial(roofline_figure, points, roofs, words)
        yield Sketch(kind="roofline", name="roofline-training", alt=f"Roofline of training: {words}", draw=draw)


def _class_sketches(
    part: SectionFrames, reliability: Frame, words: str, new_models: Collection[str]
) -> Iterator[Sketch]:
    """Figures by class, for the best row of each model."""
    models = {row["variant"]: row["model"] for row in part.per_class}
    labels = best_of_each_model(models)[:MOST_MODELS]
    if not labels:
        return
    yield Sketch(
        kind="classes", name="classes", alt=f"Accuracy by class: {_listed(labels)}",
        draw=partial(classes_figure, part.per_class, labels, words),
    )  # fmt: skip
    if binned := [label for label in labels if label in by_variant(reliability)]:
        yield Sketch(
            kind="reliability", name="reliability",
            alt=f"Accuracy of predictions by confidence: {_listed(binned)}",
            draw=partial(reliability_figure, reliability, binned, words),
        )  # fmt: skip
    found = confusions(part.confusion)
    matrices = [found[label] for label in labels if models[label] in new_models]
    if pair := best_two(list(found.values())):
        yield Sketch(
            kind="confusion", name="confusion-difference",
            alt=f"Difference of the confusion matrices of {pair[0].label} and {pair[1].label}",
            draw=partial(difference_figure, *pair, words),
        )  # fmt: skip
    for matrix in matrices:
        alt = f"Confusion matrix of {matrix.label}{_most_common(matrix)}"
        draw = partial(confusion_figure, matrix, words)
        yield Sketch(kind="confusion", name=f"confusion-{file_name(matrix.label)}", alt=alt, draw=draw)


def _most_common(matrix: Confusion) -> str:
    wrong = matrix.percent.copy()
    wrong[range(len(wrong)), range(len(wrong))] = 0
    if not wrong.max():
        return ""
    true, predicted = divmod(int(wrong.argmax()), len(wrong))
    names = matrix.class_names
    return f"; most common error: {wrong.max():.1f}% of {names[true]} predicted as {names[predicted]}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
