"""Fixtures that several of these tests use."""

import types

import pytest
import torch

from tests.benchmarks.fake_nvml import UUID


@pytest.fixture
def torch_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's devices as CUDA_VISIBLE_DEVICES has reordered them: the GPU `UUID` is `cuda:0` for it."""
    uuids = {"cuda": UUID, "cuda:0": UUID, "cuda:1": "ffffffff-0000-0000-0000-000000000000"}

    def properties(device: str | torch.device) -> types.SimpleNamespace:
        return types.SimpleNamespace(uuid=uuids[str(device)])

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
