"""Fixtures that several of these tests use."""

import types
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from benchmarks.measure.roofline import keep_roofline, kept_roofline
from benchmarks.sweep import run_once
from benchmarks.workers import client, server
from tests.benchmarks.fake_nvml import UUID
from tests.benchmarks.sample_records import make_roofline


@pytest.fixture
def torch_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's devices as CUDA_VISIBLE_DEVICES has reordered them: the GPU `UUID` is `cuda:0` for it."""
    uuids = {"cuda": UUID, "cuda:0": UUID, "cuda:1": "ffffffff-0000-0000-0000-000000000000"}

    def properties(device: str | torch.device) -> types.SimpleNamespace:
        return types.SimpleNamespace(uuid=uuids[str(device)])

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)


@pytest.fixture(scope="session")
def roofline_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A roofline as an earlier sweep has kept it: what isn't about measuring one need not wait for that."""
    path = tmp_path_factory.mktemp("rooflines") / "roofline.json"
    keep_roofline(path, {**make_roofline(), "measured_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})
    assert kept_roofline(path) is not None
    return path


@pytest.fixture(autouse=True)
def own_roofline(monkeypatch: pytest.MonkeyPatch, roofline_file: Path) -> None:
    """Keep rooflines out of the user's cache."""
    monkeypatch.setattr(run_once, "roofline_path", lambda environment: roofline_file)


@pytest.fixture(autouse=True)
def untraced_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start workers without coverage: as they end by being killed, it would slow them down and leave torn files."""

    def environment(num_threads: int) -> dict[str, str]:
        found = server.environment(num_threads)
        return {name: value for name, value in found.items() if not name.startswith("COVERAGE_")}

    monkeypatch.setattr(client, "environment", environment)
