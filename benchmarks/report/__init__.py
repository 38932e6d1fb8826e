"""Tables and pages from records: no torch, no clock, and the same bytes from the same records."""

from __future__ import annotations

from pathlib import Path


def write_report(out_dir: Path, machine: str, *, figures: bool = True) -> None:
    """Update the tables of one machine and the index of all machines.

    Writes `README.md`, the CSV files and the figures of `<out_dir>/<machine>`, and `<out_dir>/README.md`. Safe to call
    from several processes at once: files are replaced atomically, and the last version includes every record.

    Args:
        out_dir: the results folder.
        machine: name of the machine's folder in it.
        figures: draw figures, which takes much longer than all tables; the page says if they are missing.

    Raises:
        ValueError: there is no readable record, or a README.md there was not generated.
    """
    from benchmarks.report import files  # scipy loads only where tables are made

    files.write_report(out_dir, machine, figures=figures)


def check_out_dir(out_dir: Path, machine: str) -> None:
    """Reject a results folder whose README.md was not generated, before anything is measured.

    Raises:
        ValueError: a report would overwrite a file; the message names it.
    """
    from benchmarks.report import files

    files.check_page(out_dir / "README.md")
    files.check_page(out_dir / machine / "README.md")
