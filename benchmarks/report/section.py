"""A section of a machine's page: the main tables and figures of one set of comparable runs.

The section's details page has the rest, see `details`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchmarks.records.selfcheck import Selfcheck
from benchmarks.report import noise, tables
from benchmarks.report.findings import Findings
from benchmarks.report.frames import SectionFrames
from benchmarks.report.pictures import Picture, images
from benchmarks.report.provenance import hosts_text, roofline_text
from benchmarks.report.rows import Conditions, Row, Section
from benchmarks.report.speed import repeats_note
from benchmarks.report.text import escape, protocol
from benchmarks.report.values import T_INTERVAL, WILSON_INTERVAL, interval_kinds, num_test_images

DATASETS = {"fashion_mnist": "Fashion-MNIST", "mnist": "MNIST", "kmnist": "KMNIST"}
TRACKS = {
    "equal": "equal recipe",
    "best": "each model's own recipe",
    "published": "each tutorial's own recipe",
}

THROUGHPUT_CAPTION = (
    "Images per second in steady state: geometric mean over runs [95% interval of the mean], and the 95% prediction "
    'interval of one more run; both include the drift between runs. "Within it" is the 95% interval of a single run\'s '
    "samples, which doesn't cover other runs. First step and memory: highest over runs; seconds: means over runs."
)
COST_CAPTION = (
    "Operations are counted, not timed (1 MAC = 2 FLOPs); medians over runs. MFU and roofline bound are relative to "
    "measured peaks of this device."
)


def conditions_text(conditions: Conditions) -> str:
    """The conditions of a section in words, as Markdown."""
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
    """A section of the machine's page as Markdown: accuracy, throughput, cost, pairs and footnotes.

    Args:
        part: the section's frames.
        findings: of the section.
        failed: failed equivalence checks of arms, by configuration key.
        pictures: the section's figures.
        selfcheck: the machine's A/A check, if there is one.
    """
    section = part.section
    own_page = f"{section.conditions.file_name}.md"
    marks, notes = _footnotes(section, failed, own_page)
    device = roofline_text([record for row in section.rows for record in row.ok])
    blocks = [
        f"## {conditions_text(section.conditions)}",
        f"[Details]({own_page}): learning curves, scores by class, confusion, every run.",
        "### Accuracy",
        tables.section_table(*part.tables["Accuracy"], marks),
        _accuracy_caption(section, interval_kinds(part.accuracy), lettered=bool(findings.letters)),
        *images(pictures, "accuracy", "fronts"),
        "### Throughput",
        tables.section_table(*part.tables["Throughput"], marks),
        f"{throughput_caption(section)} {protocol('measuring.md#throughput')}",
        " ".join(filter(None, [noise.between_rows(selfcheck, section.machine), device])),
        *images(pictures, "ledger"),
        *_cost_parts(part, marks, pictures),
        *findings.pairs,
        *notes,
    ]
    return "\n\n".join(blocks)


def throughput_caption(section: Section) -> str:
    """Caption of the throughput table, with the number of machines if the runs used several."""
    runs = [record for row in section.rows for record in row.ok]
    profiled = "Wall time includes profiling." if any(run.profile for run in runs) else None
    return " ".join(filter(None, [THROUGHPUT_CAPTION, profiled, hosts_text(runs)]))


def _cost_parts(part: SectionFrames, marks: Mapping[str, str], pictures: Sequence[Picture]) -> list[str]:
    """The cost table with the roofline figure; empty if nothing was counted."""
    if not part.cost:
        return []
    table = tables.section_table(*part.tables["Cost"], marks)
    caption = f"{COST_CAPTION} {protocol('measuring.md#cost-and-roofline')}"
    return ["### Cost and roofline", table, caption, *images(pictures, "roofline")]


def _budget(budget: str) -> str:
    kind, _, amount = budget.partition(":")
    if budget == "seconds":
        return "training-time budgets"
    if kind not in ("epochs", "seconds"):
        return escape(budget)
    return f"{escape(amount)} {kind.removesuffix('s') if amount == '1' else kind}"


def _accuracy_caption(section: Section, kinds: frozenset[str], *, lettered: bool) -> str:
    """Caption of the accuracy table, for the kinds of interval that it has."""
    kinds_of = ["Last-epoch top-1"]
    if T_INTERVAL in kinds:
        kinds_of.append("`±`: 95% t interval of the mean over seeds")
    if WILSON_INTERVAL in kinds:
        sizes = sorted({num_test_images(row.ok[0]) for row in section.rows if len(row.ok) == 1})
        images = " or ".join(f"{size:,}" for size in sizes)
        kinds_of.append(f"`[low, high]`: 95% binomial (Wilson) interval of a single seed over {images} test images")
    sentences = [f"{'; '.join(kinds_of)}."]
    if lettered:
        sentences.append("Rows with a common letter are not significantly different.")
    if section.conditions.budget == "seconds":
        sentences.append("Rows with equal budgets have equal training time, excluding compilation and evaluation.")
    if section.conditions.budget is None:
        sentences.append("Budgets and recipes differ between rows: not a ranking of architectures.")
    return " ".join([*sentences, protocol("measuring.md#accuracy")])


def remarks(section: Section, failed: Mapping[str, str]) -> dict[str, dict[str, str | None]]:
    """Footnotes in row order, each with the labels of its rows and their evidence, if any.

    Flags of one kind share a footnote: the advice, and the evidence from the first such run of each row.
    """
    found: dict[str, dict[str, str | None]] = defaultdict(dict)
    for row in section.rows:
        for note, evidence in _remarks(row, failed.get(row.config_key)).items():
            found[note][row.label] = evidence
    return found


def _footnotes(section: Section, failed: Mapping[str, str], own_page: str) -> tuple[dict[str, str], list[str]]:
    """Footnote marks by configuration key, and the footnotes."""
    notes = remarks(section, failed)
    marks = {}
    for row in section.rows:
        if numbers := [str(place) for place, rows in enumerate(notes.values(), start=1) if row.label in rows]:
            marks[row.config_key] = f"<sup>{','.join(numbers)}</sup>"
    lines = [
        f"<sup>{place}</sup> {escape(note)}" + f" ([evidence]({own_page}#footnotes))" * any(rows.values())
        for place, (note, rows) in enumerate(notes.items(), start=1)
    ]
    return marks, ["<br>\n".join(lines)] if lines else []


def _remarks(row: Row, failed: str | None) -> dict[str, str | None]:
    """Footnotes of a row: whole sentences, or a flag's advice with this row's evidence."""
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
