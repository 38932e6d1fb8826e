"""What a record says of the machine, also on machines that this one is not."""

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.measure import environment
from benchmarks.measure.environment import git_state, hardware, software
from benchmarks.records.schema import Hardware, Software
from tests.benchmarks.fake_nvml import FakeNvml


def test_this_machine_fits_the_schema() -> None:
    found = hardware("cpu")
    msgspec.convert(found, Hardware)
    assert (found["gpu_name"], found["gpu_memory_gib"], found["gpu_count"]) == (None, None, 0)
    assert found["memory_gib"] is not None
    assert 0.1 < found["memory_gib"] < 100_000


def test_the_gpu_of_a_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    asked = []

    def properties(device: str) -> Any:
        asked.append(device)
        return types.SimpleNamespace(name="NVIDIA H100 80GB HBM3", total_memory=85 * 10**9)

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    found = hardware("cuda:1")
    assert asked == ["cuda:1"]
    assert (found["gpu_name"], found["gpu_memory_gib"], found["gpu_count"]) == ("NVIDIA H100 80GB HBM3", 79.2, 8)
    msgspec.convert(found, Hardware)


def test_apples_gpu_has_the_name_of_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "cpu_model", lambda: "Apple M2 Pro")
    assert hardware("mps")["gpu_name"] == "Apple M2 Pro GPU"


def test_versions_are_those_installed() -> None:
    import torch

    found = software()
    msgspec.convert(found, Software)
    assert found["torch"] == torch.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["torchvision"] is not None


def test_the_driver_is_named_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    assert software()["gpu_driver"] == "580.65"


def test_the_processor_is_read_from_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Fast Chip 9000\n", encoding="utf-8")
    monkeypatch.setattr(environment, "CPU_INFO", info)
    assert environment.cpu_model() == "Fast Chip 9000"


def test_an_arm_processor_is_told_by_its_part_and_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
        "CPU variant\t: 0x3",
        "CPU part\t: 0xd0c",
        "CPU revision\t: 1",
    )
    (tmp_path / "cpuinfo").write_text("\n".join(names), encoding="utf-8")
    monkeypatch.setattr(environment, "CPU_INFO", tmp_path / "cpuinfo")
    found = hardware("cpu")
    assert (found.get("cpu_family"), found.get("cpu_model_id"), found.get("cpu_stepping")) == ("8", "0xd0c", "r3p1")


@pytest.mark.parametrize(
    ("system", "sysctl", "processor", "expected"),
    [
        ("Darwin", "Apple M2", "arm", "Apple M2"),
        ("Darwin", None, "arm", "arm"),
        ("Linux", None, "x86_64", "x86_64"),
        ("Linux", None, "", "aarch64"),
    ],
)
def test_the_processor_is_asked_for_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, sysctl: str | None, processor: str, expected: str
) -> None:
    monkeypatch.setattr(environment, "CPU_INFO", tmp_path / "missing")
    monkeypatch.setattr(environment, "_output", lambda *_: sysctl)
    for name, value in {"system": system, "processor": processor, "machine": "aarch64"}.items():
        monkeypatch.setattr(environment.platform, name, lambda value=value: value)
    assert environment.cpu_model() == expected


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit that has this package's layout."""
    for name in ("fmnist_zoo/model.py", "benchmarks/measure/environment.py", "results/README.md"):
        path = tmp_path / "top" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("committed\n", encoding="utf-8")
    git(tmp_path / "top", "init", "-q")
    git(tmp_path / "top", "add", ".")
    git(tmp_path / "top", "commit", "-qm", "all")
    return tmp_path / "top"


def test_a_clean_checkout_has_a_commit(checkout: Path) -> None:
    assert git_state(checkout) == (git(checkout, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize(
    ("changed", "dirty"),
    [
        ("fmnist_zoo/model.py", True),
        ("benchmarks/new.py", True),
        ("results/README.md", False),
        ("results/new.json", False),
    ],
)
def test_changed_sources_make_a_tree_dirty_and_results_do_not(checkout: Path, changed: str, dirty: bool) -> None:
    (checkout / changed).write_text("changed\n", encoding="utf-8")
    assert git_state(checkout)[1] is dirty


def test_a_package_installed_inside_another_checkout_has_no_commit(checkout: Path) -> None:
    installed = checkout / "venv" / "site-packages"
    (installed / "benchmarks" / "measure").mkdir(parents=True)
    (installed / "benchmarks" / "measure" / "environment.py").write_text("installed\n", encoding="utf-8")
    assert git_state(installed) == (None, None)


def test_without_a_repository_or_git_there_is_no_commit(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").mkdir()
    assert git_state(tmp_path / "plain") == (None, None)
    git(checkout, "update-ref", "-d", "HEAD")  # as before the first commit
    assert git_state(checkout) == (None, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(checkout) == (None, None)


@pytest.mark.parametrize(
    "module",
    [
        "benchmarks.records.store",
        "benchmarks.records.row_labels",
        "benchmarks.report",
        "benchmarks.measure.machine_details",
    ],
)
def test_what_a_command_line_needs_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'pandas', 'numpy', 'scipy'}} & set(sys.modules)))"
    top = Path(environment.__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=top, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
