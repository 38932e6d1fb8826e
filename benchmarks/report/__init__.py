"""From records to tables and pages: no torch, no clock, the same bytes from the same records."""

from __future__ import annotations

from pathlib import Path


def write_report(out_dir: Path, machine: str, *, figures: bool = True) -> None:
    """Bring the tables of one machine and the index over all machines up to date.

    Writes `README.md`, the CSV files and the figures of `<out_dir>/<machine>`, and `<out_dir>/README.md`. Several
    processes may do so at once: each file is replaced as a whole, and the last one written counts every record that
    there is.

    Args:
        out_dir: the results folder.
        machine: the name of its folder there.
        figures: draw them, too, which takes much longer than all tables; without them the page says so.

    Raises:
        ValueError: there is no readable record, or a README.md there was written by somebody else.
    """
    from benchmarks.report import files  # scipy loads only where tables are made

    files.write_report(out_dir, machine, figures=figures)


def check_out_dir(out_dir: Path, machine: str) -> None:
    """Refuse a results folder whose README.md was written by somebody else, before anything is measured for it.

    Raises:
        ValueError: naming the file and the way out.
    """
    from benchmarks.report import files

    files.check_page(out_dir / "README.md")
    files.check_page(out_dir / machine / "README.md")
