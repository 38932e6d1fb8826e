"""A section of a machine's page: the tables and figures of runs that may be compared with each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from benchmarks.records.record import RunRecord
from benchmarks.records.row_labels import setting_text, settings
from benchmarks.records.selfcheck import Selfcheck
from benchmarks.report import noise, tables
from benchmarks.report.findings import Findings
from benchmarks.report.frames import SectionFrames
from benchmarks.report.pictures import Picture, images
from benchmarks.report.provenance import hosts_text, roofline_text
from benchmarks.report.rows import Conditions, Row, Section
from benchmarks.report.speed import batch_parts, repeats_note, share_parts
from benchmarks.report.text import MISSING, details, escape, shorten, table
from benchmarks.report.values import T_INTERVAL, WILSON_INTERVAL, interval_kinds, num_test_images

DATASETS = {"fashion_mnist": "Fashion-MNIST", "mnist": "MNIST", "kmnist": "KMNIST"}
TRACKS = {
    "equal": "equal recipe",
    "best": "each model's own recipe",
    "published": "each net with its tutorial's recipe",
}

LEARNING_CAPTION = (
    "Lines: means over seeds; bands: lowest to highest. Training loss and accuracy are those of the images when they "
    "were trained on, while the weights changed; validation comes after the epoch, so at first it may look "
    "like the easier one."
)

CLASSES_CAPTION = "The best row of each model. A class has few test images: a gap between two markers may be chance."

THROUGHPUT_CAPTION = (
    "Images per second: steady state after warm-up, median over runs; ± is the 95% interval of the median of a run's "
    "samples. First step: compilation and warm-up, the longest over runs, and the state of the compiler's cache in the "
    "first; it is in no throughput. Training and wall seconds: mean over runs. Memory: the highest over runs, and what "
    "was in use before the model was built."
)

COST_CAPTION = (
    "Counted, not timed: matrix products, convolutions, recurrent layers and attention (1 MAC = 2 FLOPs; training = "
    "forward and backward). MFU: achieved FLOP/s over those of large matrix products, measured on this device in the "
    "precision of the row. FLOP/byte: those of a training step over the bytes that it has to move at least (weights, "
    "gradients, optimizer, batch, and activations saved for the backward pass), so at most that. The bound is the "
    "lower one of two roofs: matrix products, and copying at that FLOP/byte. Convolutions count their padding, which "
    "kernels may skip: on small maps a share may exceed 100%. Medians over runs."
)


def conditions_text(conditions: Conditions) -> str:
    """What a section's rows have in common, in words."""
    budget = "" if conditions.budget is None else f", {_budget(conditions.budget)}"
    dataset = DATASETS.get(conditions.dataset, escape(conditions.dataset))
    track = TRACKS.get(conditions.track, f"track {escape(conditions.track)}")
    torch = "" if conditions.torch is None else f", torch {escape(conditions.torch)}"
    machine = "" if conditions.machine is None else f", on {escape(conditions.machine)}"
    return f"{dataset}, {track}{budget}, {conditions.num_train:,} training images{torch}{machine}"


def section_text(
    part: SectionFrames,
    findings: Findings,
    failed: Mapping[str, str],
    pictures: Sequence[Picture] = (),
    *,
    selfcheck: Selfcheck | None = None,
) -> str:
    """Heading, tables, figures, footnotes and the parts that open on a click.

    Args:
        part: the section's frames.
        findings: what follows from its records.
        failed: what is wrong with arms that don't compute the same, by configuration key.
        pictures: its figures.
        selfcheck: the machine's A/A check, where it was made.
    """
    section = part.section
    marks, notes = _footnotes(section, failed)
    learning, classes = images(pictures, "learning"), images(pictures, "classes", "reliability")
    blocks = [
        f"## {conditions_text(section.conditions)}",
        "### Accuracy",
        tables.section_table(*part.tables["Accuracy"], marks),
        _accuracy_caption(section, interval_kinds(part.accuracy), lettered=bool(findings.letters)),
        *images(pictures, "accuracy", "fronts"),
        *findings.pairs,
        *(["### Learning", LEARNING_CAPTION, *learning] if learning else []),
        "### Throughput",
        tables.section_table(*part.tables["Throughput"], marks),
        f"{throughput_caption(section)} {noise.between_rows(selfcheck, section.machine)}",
        *images(pictures, "ledger"),
        *_cost_parts(part, marks, pictures),
        *notes,
        *share_parts(section),
        *images(pictures, "batches"),
        *batch_parts(section),
        *(["### Classes and confidence", CLASSES_CAPTION, *classes] if classes else []),
        *findings.details,
        *_class_parts(part, pictures),
        details("Recipe and runs of each row", _runs(section)),
    ]
    return "\n\n".join(blocks)


def throughput_caption(section: Section) -> str:
    """What the numbers of the throughput table are, and what the device was measured to do by the same runs."""
    runs = [record for row in section.rows for record in row.ok]
    profiled = "Wall seconds of runs with a profile count making it, too." if any(run.profile for run in runs) else None
    return " ".join(filter(None, [THROUGHPUT_CAPTION, profiled, hosts_text(runs), roofline_text(runs)]))


def _cost_parts(part: SectionFrames, marks: Mapping[str, str], pictures: Sequence[Picture]) -> list[str]:
    """The table of cost and roofline with its figure; nothing where nothing was counted."""
    if not part.cost:
        return []
    shown = images(pictures, "roofline")
    return ["### Cost and roofline", tables.section_table(*part.tables["Cost"], marks), COST_CAPTION, *shown]


def _budget(budget: str) -> str:
    kind, _, amount = budget.partition(":")
    if budget == "seconds":
        return "seconds of training"
    if kind not in ("epochs", "seconds"):
        return escape(budget)
    return f"{escape(amount)} {kind.removesuffix('s') if amount == '1' else kind}"


def _accuracy_caption(section: Section, kinds: frozenset[str], *, lettered: bool) -> str:
    """What the numbers of the accuracy table are, of those that it has."""
    sentences = ["Accuracy is that of the last epoch."]
    if T_INTERVAL in kinds:
        sentences.append("`±` is the 95% t interval of the mean over seeds.")
    if WILSON_INTERVAL in kinds:
        sizes = sorted({num_test_images(row.ok[0]) for row in section.rows if len(row.ok) == 1})
        images = " or ".join(f"{size:,}" for size in sizes)
        sentences.append(
            f"`[low, high]` stands where there is one seed: the 95% binomial (Wilson) interval over its {images} test "
            "images, which says nothing of the spread between seeds."
        )
    if lettered:
        sentences.append("Rows that share a letter can't be told apart (see the pairs).")
    if section.conditions.budget == "seconds":
        sentences.append("Rows of one budget had the same seconds of training, compiling and evaluation not counted.")
    if section.conditions.budget is None:
        sentences.append("Budgets and recipes differ from row to row: this is no ranking of architectures.")
    return " ".join(sentences)


def _footnotes(section: Section, failed: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Marks by configuration key, and the notes they lead to: what flags and fallbacks of a row's runs say.

    Flags of a kind share a note: what to do about them, and the evidence of each row's first such run.
    """
    evidence: dict[str, list[str]] = {}
    keys: dict[str, list[str]] = defaultdict(list)
    for row in section.rows:
        key = row.config_key
        for note, found in _remarks(row, failed.get(key)).items():
            keys[key].append(note)
            evidence.setdefault(note, []).extend([f"{row.label}: {found}"] if found else [])
    numbers = {note: place for place, note in enumerate(evidence, start=1)}
    marks = {
        key: f"<sup>{','.join(str(place) for place in sorted(numbers[note] for note in notes))}</sup>"
        for key, notes in keys.items()
    }
    notes = [
        f"<sup>{numbers[note]}</sup> {escape(' '.join([note, '; '.join(found)]).strip())}"
        for note, found in evidence.items()
    ]
    return marks, ["<br>\n".join(notes)] if notes else []


def _remarks(row: Row, failed: str | None) -> dict[str, str | None]:
    """Notes of a row: sentences that say all, and for a flag with advice this row's evidence beside it."""
    remarks: dict[str, str | None] = dict.fromkeys(filter(None, [failed, repeats_note(row)]))
    for record in row.records:
        for flag in record.flags:
            if flag["advice"] is None:
                remarks[flag["evidence"]] = None
            else:
                where = f" (seed {record.seed})" if len(row.records) > 1 else ""
                remarks.setdefault(f"{flag['kind']}: {flag['advice']}", f"{flag['evidence'].rstrip('.')}{where}")
        if record.execution and record.execution["fallback"]:
            remarks[record.execution["fallback"]] = None
    return remarks


def _class_parts(part: SectionFrames, pictures: Sequence[Picture]) -> list[str]:
    """Scores by class and confusion matrices, closed until clicked; nothing where no run was tested."""
    if not part.per_class:
        return []
    scores = [
        "Recall, % (the accuracy within each class):",
        tables.class_table(part.per_class, "recall"),
        "F1, %:",
        tables.class_table(part.per_class, "f1"),
    ]
    matrices = [*images(pictures, "confusion"), tables.confusion_tables(part.confusion)]
    return [
        details("Scores by class", "\n\n".join(scores)),
        details("Confusion matrices", "\n\n".join(matrices)),
    ]


def _runs(section: Section) -> str:
    """The settings that all rows share, and for each row those that are its own, with a link to each record."""
    flats = [settings(row.config) for row in section.rows]
    shared = {name: value for name, value in flats[0].items() if all(flat.get(name) == value for flat in flats)}
    rows = []
    for row, flat in zip(section.rows, flats, strict=True):
        own = ", ".join(setting_text(name, value) for name, value in flat.items() if name not in shared)
        reasons = dict.fromkeys(record.execution["reason"] for record in row.records if record.execution)
        choice = shorten("; ".join(filter(None, reasons)))
        links = ", ".join(map(_links, row.records))
        rows.append([escape(row.label), escape(own) or MISSING, escape(choice) or MISSING, links])
    common = ", ".join(f"{name.rpartition('.')[2]}={value}" for name, value in shared.items())
    headers = ["model", "its own", "why this precision and engine", "record by seed"]
    return f"All rows: {escape(common)}.\n\n{table(headers, rows, words=headers)}"


def _links(record: RunRecord) -> str:
    """To a run's record, and to its profile where it has one."""
    link = f"[{record.seed}](runs/{record.run_id}.json)"
    return f"{link} ([profile]({quote(record.profile['page'])}))" if record.profile else link
