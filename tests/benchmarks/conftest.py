"""Fixtures for tests that carry runs out."""

from pathlib import Path

import pytest

from benchmarks import runner


@pytest.fixture(scope="session")
def roofline_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for the roofline that this session's runs share: one measured beside tests is not to be kept for more."""
    return tmp_path_factory.mktemp("rooflines") / "roofline.json"


@pytest.fixture(autouse=True)
def own_roofline(monkeypatch: pytest.MonkeyPatch, roofline_file: Path) -> None:
    """Keep rooflines out of the user's cache."""
    monkeypatch.setattr(runner, "roofline_path", lambda environment: roofline_file)
