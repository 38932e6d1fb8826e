"""The files of a report, generated from records and written atomically, also by several processes at once."""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.records import selfcheck
from benchmarks.records.arms import ArmsRecord, ArmsStore
from benchmarks.records.json_files import Problem
from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.records.tuning import read_searches
from benchmarks.report.answers import read_answers
from benchmarks.report.arms import arms_frame, by_machine, latest
from benchmarks.report.findings import FINDINGS_FILES, PageFindings, page_findings
from benchmarks.report.frames import SectionFrames, csv, section_frames
from benchmarks.report.index import index_page
from benchmarks.report.markdown import MARK, PAGE, Material, machine_pages
from benchmarks.report.pictures import Pictures
from benchmarks.report.provenance import CSV_FILES
from benchmarks.report.rows import Section, sections
from benchmarks.report.section import conditions_text
from benchmarks.report.verdict import name_hint, pair_sentence
from fmnist_zoo.files import read_regular, remove_leftovers, write_atomically

_PAGE_LIMIT_BYTES = 1 << 26

Found = Mapping[Path, tuple[list[RunRecord], list[Problem]]]


def write_report(out_dir: Path, machine: str, *, figures: bool) -> None:
    """See `benchmarks.report.write_report`."""
    folder = out_dir / machine
    found = _make(
        lambda: machine_folders(out_dir), pages=lambda path: path == folder, index_dir=out_dir, figures=figures
    )
    if folder not in found or not found[folder][0]:
        raise ValueError(f"no readable record in {folder / 'runs'}")


def regenerate(directory: Path, *, figures: bool = True) -> Found:
    """Regenerate all files of a results folder or of one machine's folder; returns the records by machine folder.

    Args:
        directory: a results folder, or that of one machine.
        figures: draw figures; pages say if they are missing.

    Raises:
        ValueError: there is no readable record, or a README.md there was not generated.
    """
    if (directory / "runs").is_dir():
        found = _make(lambda: [directory], pages=lambda _: True, index_dir=None, figures=figures)
    else:
        found = _make(lambda: machine_folders(directory), pages=lambda _: True, index_dir=directory, figures=figures)
    _check_found(directory, found)
    return found


def pair_verdicts(directory: Path, pair: tuple[str, str]) -> list[str]:
    """A paragraph for each section of each machine that contains both rows.

    Args:
        directory: a results folder, or the folder of one machine in it.
        pair: row labels, or models with a single row.

    Raises:
        ValueError: there is no readable record, or no section contains both.
    """
    found = read_folders(directory)
    paragraphs: list[str] = []
    everything: list[Section] = []
    for folder, (records, _) in found.items():
        for section in sections(records):
            everything.append(section)
            runs = [record for row in section.rows for record in row.ok]
            if sentence := pair_sentence(section, read_answers(RecordStore(folder), runs), pair):
                paragraphs.append(f"{folder.name}: {conditions_text(section.conditions)}\n{sentence}")
    if not paragraphs:
        hints = "".join(dict.fromkeys(name_hint(everything, name) for name in pair))
        raise ValueError(f"--pair {pair[0]} {pair[1]}: no section of {directory} has both, each as one row{hints}")
    return paragraphs


def read_folders(directory: Path) -> Found:
    """The records and unreadable files of a results folder, or of one machine's folder, by machine folder.

    Raises:
        ValueError: there is no readable record.
    """
    folders = [directory] if (directory / "runs").is_dir() else machine_folders(directory)
    found = {folder: RecordStore(folder).read_all() for folder in folders}
    _check_found(directory, found)
    return found


def write_pair_figure(directory: Path, pair: tuple[str, str], path: Path) -> str:
    """Draw the difference between the confusion matrices of two rows, from the first section with runs of both.

    Args:
        directory: as for `pair_verdicts`.
        pair: as for `pair_verdicts`.
        path: output file, .svg or .png.

    Returns:
        The file and the section, in words.

    Raises:
        ValueError: no section has successful runs of both.
    """
    from benchmarks.report.figures.write import pair_bytes

    for folder, (records, _) in read_folders(directory).items():
        for section in sections(records):
            if (content := pair_bytes(section, pair)) is not None:
                write_atomically(path, content[path.suffix.removeprefix(".")])
                return f"{path}, of {folder.name}: {html.unescape(conditions_text(section.conditions))}"
    raise ValueError(f"--pair {pair[0]} {pair[1]}: no section of {directory} has successful runs of both")


def _check_found(directory: Path, found: Found) -> None:
    if not any(records for records, _ in found.values()):
        raise ValueError(
            f"{directory} holds no readable record; give a results folder (with MACHINE/runs/*.json) or the folder of "
            "one machine (with runs/*.json)"
        )


def machine_folders(out_dir: Path) -> list[Path]:
    """The machine folders with runs in a results folder, by name; empty if the folder doesn't exist."""
    return sorted(path.parent for path in out_dir.glob("*/runs") if path.is_dir())


def check_page(path: Path) -> None:
    """ValueError if a page would overwrite a file that was not generated."""
    try:
        content = read_regular(path, _PAGE_LIMIT_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return
    except ValueError:
        content = b"something else than a page"
    if content and not content.startswith(MARK.encode()):
        raise ValueError(
            f"{path} was not made by benchmarks.report and would be lost: move it or choose another folder"
        )


def _make(
    folders: Callable[[], list[Path]], *, pages: Callable[[Path], bool], index_dir: Path | None, figures: bool
) -> Found:
    """Write pages and index, and repeat once if a run was added meanwhile.

    There is no lock: a record added meanwhile has its own writer, which may finish first and be overwritten by this
    one. Once is enough: if runs are added faster than pages are written, the writers of those runs come later.
    """
    for folder in filter(pages, folders()):
        remove_leftovers(folder)
    for attempt in range(2):
        listing = _listing(folders())
        found = {folder: RecordStore(folder).read_all() for folder in folders()}
        for folder, (records, problems) in found.items():
            if records and pages(folder):
                _write_machine(folder, records, problems, figures=figures)
        machines = {folder.name: records for folder, (records, _) in found.items() if records}
        if machines and index_dir is not None:
            _write_page(index_dir / "README.md", index_page(machines))
        if attempt or _listing(folders()) == listing:
            return found
    raise AssertionError("the second attempt returns")


def _listing(folders: Sequence[Path]) -> set[Path]:
    return {path for folder in folders for path in (*RecordStore(folder).paths(), *ArmsStore(folder).paths())}


def _write_machine(folder: Path, records: Sequence[RunRecord], problems: Sequence[Problem], *, figures: bool) -> None:
    check_page(folder / PAGE)  # first: the old page names the files that may be deleted
    before = _last_pages(folder)
    shown = sections(records)
    counted = [record for section in shown for row in section.rows for record in row.records]
    findings = page_findings(shown, read_answers(RecordStore(folder), counted))
    parts = [section_frames(section, findings.by_section[section.conditions].letters) for section in shown]
    for name in CSV_FILES:
        _write_text(folder / name, csv([getattr(part, Path(name).stem) for part in parts]))
    for name in FINDINGS_FILES:
        _write_text(folder / name, csv([found.frames[name] for found in findings.by_section.values()]))
    comparisons, faults = ArmsStore(folder).read_all()
    comparisons = latest(comparisons)
    if arms := by_machine(comparisons):
        _write_text(folder / "arms.csv", csv([arms_frame(group, records) for group in arms.values()]))
    checked, fault = selfcheck.read(folder)
    searches, unread = read_searches(folder)
    problems = [*problems, *faults, *([fault] if fault else []), *unread]
    drawn = [part for part in parts if not part.section.is_past]
    with_arms = arms.get(shown[0].machine, ())
    pictures = _write_figures(folder, drawn, findings, with_arms, before.values()) if figures else None
    material = Material(comparisons=comparisons, selfcheck=checked, searches=searches, pictures=pictures)
    pages = machine_pages(parts, records, problems, findings, material)
    for name, text in reversed(pages.items()):  # the one that links to the others last
        _write_page(folder / name, text)
    for name in before.keys() - pages.keys():
        (folder / name).unlink(missing_ok=True)


def _last_pages(folder: Path) -> dict[str, str]:
    """The machine's previous page and the generated pages that it links to, directly or not."""
    found, todo = dict[str, str](), [PAGE]
    while todo:
        name = todo.pop()
        with contextlib.suppress(OSError, ValueError):
            text = read_regular(folder / name, _PAGE_LIMIT_BYTES).decode("utf-8", "replace")
            if text.startswith(MARK):
                found[name] = text
                todo += set(re.findall(r"\]\(([0-9A-Za-z_.-]+\.md)[#)]", text)) - {*found, *todo}
    return found


def _write_figures(
    folder: Path,
    parts: Sequence[SectionFrames],
    findings: PageFindings,
    comparisons: Sequence[ArmsRecord],
    before: Iterable[str],
) -> Pictures:
    from benchmarks.report.figures.write import write_figures  # matplotlib loads only where figures are drawn

    return write_figures(folder, parts, findings, comparisons, before)


def _write_page(path: Path, text: str) -> None:
    check_page(path)
    _write_text(path, text)


def _write_text(path: Path, text: str) -> None:
    # A record may hold a lone surrogate, which UTF-8 can't encode: replace it by a question mark.
    write_atomically(path, text.encode("utf-8", "replace"))
