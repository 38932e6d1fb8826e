"""Cores, instruction sets, caches and variables, also on machines that this one is not."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import environment, machine_details
from benchmarks.measure.machine_details import cache_kib, cgroup_quota, cores_used, isa, relevant
from benchmarks.records.schema import Details
from tests.benchmarks.fake_nvml import FakeNvml

LINUX = sys.platform == "linux"


def test_this_machine_fits_the_schema() -> None:
    found = machine_details.details("cpu", num_threads=2, variables=os.environ)
    msgspec.convert(found, Details)
    assert found["num_threads"] == 2
    assert found["cores_used"] is not None and 1 <= found["cores_used"] <= (os.cpu_count() or 1)
    assert found["gpu_power_limit_w"] is found["gpu_max_sm_clock_mhz"] is found["gpu_max_memory_clock_mhz"] is None


@pytest.mark.usefixtures("torch_gpu")
def test_limits_of_the_gpu_are_read_where_a_run_uses_it() -> None:
    found = machine_details.details("cuda:0", num_threads=None, variables={}, nvml=FakeNvml())
    assert found["gpu_power_limit_w"] == 650.5
    assert (found["gpu_max_sm_clock_mhz"], found["gpu_max_memory_clock_mhz"]) == (1980, 2619)
    assert found["num_threads"] is None


@pytest.mark.skipif(not LINUX, reason="only Linux binds processes to cores")
def test_cores_are_those_that_the_process_is_bound_to() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from benchmarks.measure.machine_details import cores_used, usable_cores\n"
    code += "print(cores_used(), len(usable_cores()))"
    top = Path(machine_details.__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=top, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["1", "1"]


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000", "cpu.max": "400000 100000"}, 1.5),
        ("0::/", {"cpu.max": "200000 100000"}, 2.0),
        ("0::/of/the/host", {"cpu.max": "50000 100000"}, 0.5),
        ("0::/a", {"a/cpu.max": "max 100000"}, None),
        ("0::/a", {}, None),
        (
            "9:name=systemd:/x\n4:cpu,cpuacct:/x\n3:cpuset:/",
            {"cpu/x/cpu.cfs_quota_us": "300000", "cpu/x/cpu.cfs_period_us": "100000"},
            3.0,
        ),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("4:cpuset:/", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, None),
    ],
    ids=["above", "top", "container", "none", "missing", "version 1", "version 1 none", "other controller"],
)
def test_the_least_quota_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, files: dict[str, str], quota: float | None
) -> None:
    (tmp_path / "own").write_text(own + "\n", encoding="utf-8")
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    monkeypatch.setattr(machine_details, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(machine_details, "CGROUPS", tmp_path / "cgroup")
    assert cgroup_quota() == quota
    monkeypatch.setattr(machine_details, "usable_cores", lambda: {0, 1, 5})
    assert cores_used() == {None: 3, 0.5: 1, 1.5: 2, 2.0: 2, 3.0: 3}[quota]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "model name\t: Xeon\nflags\t\t: fpu avx2 fma avx512f amx_tile amx_bf16\nvmx flags\t: avx512_vnni\n",
            ["avx2", "fma", "avx512f", "amx_tile", "amx_bf16"],
        ),
        ("Features\t: fp asimd sve i8mm bf16\nCPU part\t: 0xd40\n", ["asimd", "bf16", "i8mm", "sve"]),
        ("isa\t: rv64imafdc\n", []),
        ("", []),
    ],
    ids=["x86", "ARM", "RISC-V", "empty"],
)
def test_instruction_sets_are_those_of_linux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str]
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(text, encoding="utf-8")
    monkeypatch.setattr(environment, "CPU_INFO", info)
    assert isa() == expected


def test_caches_are_those_for_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index, (level, kind, size) in enumerate(
        [(1, "Instruction", "64K"), (1, "Data", "48K"), (2, "Unified", "2048K"), (3, "Unified", "1G")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, text in {"level": level, "type": kind, "size": size}.items():
            (folder / name).write_text(f"{text}\n", encoding="utf-8")
    monkeypatch.setattr(machine_details, "CACHES", tmp_path)
    assert [cache_kib(level) for level in (1, 2, 3, 4)] == [48, 2048, 2**20, None]
    (tmp_path / "index2" / "size").unlink()
    assert cache_kib(2) is None


def test_elsewhere_than_on_linux_nothing_is_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in [
        (machine_details, "CACHES"),
        (machine_details, "CGROUPS"),
        (machine_details, "OWN_CGROUPS"),
        (environment, "CPU_INFO"),
    ]:
        monkeypatch.setattr(module, name, tmp_path / "missing")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(machine_details.psutil, "cpu_count", lambda logical: 8)
    found = machine_details.details("mps", num_threads=None, variables={})
    msgspec.convert(found, Details)
    assert (found["cores_used"], found["isa"]) == (8, [])
    assert found["l1d_cache_kib"] is found["l2_cache_kib"] is found["l3_cache_kib"] is None


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("OMP_NUM_THREADS", "2", "2"),
        ("OMP_PLACES", "{0:4}:2", "{0:4}:2"),
        ("KMP_AFFINITY", "granularity=fine,compact,1,0", "granularity=fine,compact,1,0"),
        ("GOMP_CPU_AFFINITY", "0-3", "0-3"),
        ("MKL_NUM_THREADS", "4", "4"),
        ("ONEDNN_MAX_CPU_ISA", "AVX2", "AVX2"),
        ("CUDA_VISIBLE_DEVICES", "", ""),
        ("CUBLAS_WORKSPACE_CONFIG", ":4096:8", ":4096:8"),
        ("NVIDIA_TF32_OVERRIDE", "0", "0"),
        ("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:512", "max_split_size_mb:512"),
        ("TORCH_LOGS", "+dynamo", "+dynamo"),
        ("MALLOC_TOP_PAD_", "67108864", "67108864"),
        ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", "glibc.malloc.hugetlb=1"),
        ("LD_PRELOAD", "/home/eve/lib/libjemalloc.so.2:libtcmalloc.so", "libjemalloc.so.2 libtcmalloc.so"),
        ("TORCHINDUCTOR_CACHE_DIR", "/home/eve/cache", "set"),
        ("TORCHINDUCTOR_CACHE_DIR", "eves_cache", "set"),
        ("TRITON_PTXAS_PATH", "ptxas", "set"),
        ("TORCH_HOME", "eve", "set"),
        ("CUDA_INJECTION64", "C:\\Users\\eve", "set"),
        ("TORCH_SOMETHING", "~eve", "set"),
        ("TORCH_REMOTE_TOKEN", "abc123", "set"),
        ("PYTORCH_X", "redis://eve:pw@host", "set"),
    ],
)
def test_a_variable_is_shown_unless_it_may_be_private(name: str, value: str, shown: str) -> None:
    assert relevant({name: value}) == {name: shown}


@pytest.mark.parametrize("name", ["HOME", "PATH", "USER", "MY_OMP_X", "NVIDIA_API_KEY", "HF_TOKEN"])
def test_other_variables_are_left_out(name: str) -> None:
    assert relevant({name: "1"}) == {}


@given(
    st.dictionaries(
        st.sampled_from(["OMP_X", "CUDA_PATH", "TORCH_LOGS", "LD_PRELOAD", "PYTORCH_A", "SHELL", "MALLOC_CONF"]),
        st.text(),
    )
)
def test_no_value_shows_a_path(variables: dict[str, str]) -> None:
    found = relevant(variables)
    assert list(found) == sorted(found.keys() & variables.keys())
    assert "SHELL" not in found
    assert not [value for value in found.values() if "/" in value or "~" in value]
