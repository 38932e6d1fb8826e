"""Processors that this machine doesn't have, as Linux describes them: files in processors/."""

from collections.abc import Callable
from pathlib import Path

import pytest
from archspec.cpu import detect

from benchmarks.measure import environment, machine_details
from benchmarks.measure.machine_details import environment_of
from benchmarks.records.machine import Machine

FOLDER = Path(__file__).parent / "processors"
PROCESSORS = ("zen3", "zen4", "xeon-amx", None)
"""Their names; of the last nothing is known."""

Become = Callable[[str | None], Machine]


def become(name: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Have the system describe a processor in the place of its own; the machine as which a run sees it.

    Args:
        name: of the processor.
        folder: an empty one, for what Linux has below /sys.
        monkeypatch: puts everything back.
    """
    info = FOLDER / f"{name}.cpuinfo"
    caches = (FOLDER / f"{name}.caches").read_text(encoding="utf-8").splitlines() if name else []
    for index, line in enumerate(caches):
        for title, text in zip(("level", "type", "size"), line.split(), strict=True):
            path = folder / f"index{index}" / title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n", encoding="utf-8")
    monkeypatch.setattr(environment, "CPU_INFO", info)
    monkeypatch.setattr(machine_details, "CACHES", folder)
    monkeypatch.setattr(detect, "open", lambda path: info.open(encoding="utf-8"), raising=False)
    monkeypatch.setattr(environment.platform, "processor", lambda: "")
    return Machine.of(environment_of("cpu", num_threads=2, variables={}))
