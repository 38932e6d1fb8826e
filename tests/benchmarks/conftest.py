"""Fixtures that several of these tests use."""

import types
from pathlib import Path

import pytest
import torch

from benchmarks import runner
from tests.benchmarks.fake_nvml import UUID


@pytest.fixture
def torch_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's devices as CUDA_VISIBLE_DEVICES has reordered them: the GPU `UUID` is `cuda:0` for it."""
    uuids = {"cuda": UUID, "cuda:0": UUID, "cuda:1": "ffffffff-0000-0000-0000-000000000000"}

    def properties(device: str | torch.device) -> types.SimpleNamespace:
        return types.SimpleNamespace(uuid=uuids[str(device)])

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)


@pytest.fixture(scope="session")
def roofline_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for the roofline that this session's runs share: one measured beside tests is not to be kept for more."""
    return tmp_path_factory.mktemp("rooflines") / "roofline.json"


@pytest.fixture(autouse=True)
def own_roofline(monkeypatch: pytest.MonkeyPatch, roofline_file: Path) -> None:
    """Keep rooflines out of the user's cache."""
    monkeypatch.setattr(runner, "roofline_path", lambda environment: roofline_file)
