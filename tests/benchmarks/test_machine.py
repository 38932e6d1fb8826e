"""What makes two machines the same one, and whose a folder of results is."""

import dataclasses
import json
import platform
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure import machine_details
from benchmarks.measure.environment import vendor_and_microarchitecture
from benchmarks.measure.machine_details import environment_of
from benchmarks.measure.roofline import roofline_path
from benchmarks.records.machine import FILE, Machine, machine_folder, owner_of
from benchmarks.records.record import machine_parts
from benchmarks.records.selfcheck import read, write
from benchmarks.records.store import RecordStore
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.earlier import choice_path
from benchmarks.sweep.plan import make_plan
from tests.benchmarks.processors import PROCESSORS, become
from tests.benchmarks.sample_records import make_environment, make_record, write_records
from tests.benchmarks.sample_selfcheck import make_selfcheck
from tests.benchmarks.test_runner import good_result, runner

RESULTS = Path(__file__).parents[2] / "results"
ON_X86_LINUX = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the processors are x86, described by Linux"
)


def machine(**changes: Any) -> Machine:
    return Machine.of(make_environment(**changes))


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], Machine]:
    """Becomes another processor; see `become`."""
    return lambda name: become(name, tmp_path / f"caches of {name}", monkeypatch)


@ON_X86_LINUX
def test_a_processor_is_told_by_more_than_its_marketing_name(processor: Callable[[str | None], Machine]) -> None:
    zen3, zen4, xeon, unknown = map(processor, PROCESSORS)
    assert (zen3.cpu_model, zen4.cpu_model) == ("AMD EPYC", "AMD EPYC")
    assert (zen3.cpu_vendor, zen3.cpu_family, zen3.cpu_model_id, zen3.cpu_stepping) == ("AuthenticAMD", "25", "1", "1")
    found = [(one.microarchitecture, one.l1d_cache_kib, (one.isa or ())[-1:]) for one in (zen3, zen4, xeon, unknown)]
    assert found == [
        ("zen3", 32, ("fma",)),
        ("zen4", 32, ("avx512_vnni",)),
        ("sapphirerapids", 48, ("amx_int8",)),
        (None, None, ()),
    ]
    cores = f"{zen3.num_cores}-core{'s' * (zen3.num_cores != 1)}"
    names = ["amd-epyc-zen3", "amd-epyc-zen4", "intel-xeon-sapphirerapids", "x86-64"]
    assert [one.names[0] for one in (zen3, zen4, xeon, unknown)] == [f"{name}-{cores}" for name in names]
    assert len({zen3.key, zen4.key, xeon.key, unknown.key}) == 4


@ON_X86_LINUX
def test_nothing_is_shared_between_processors(
    processor: Callable[[str | None], Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No choice of precision and engine, no roofline, and no run when a sweep is resumed."""
    shared: set[Any] = set()
    for name in PROCESSORS:
        processor(name)
        here = environment_of("cpu", num_threads=2, variables={})
        here["software"]["dirty"] = False
        shared |= {choice_path("key", here), roofline_path(here), machine_parts(here)["machine"]}
    assert len(shared) == 3 * len(PROCESSORS)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the processors are x86")
@pytest.mark.parametrize("name", PROCESSORS)
def test_a_sweep_on_another_machine_leaves_the_committed_tables_alone(
    name: str | None, processor: Callable[[str | None], Machine], tmp_path: Path
) -> None:
    """And makes tables of its own, in which no other machine's noise floor stands."""
    out = tmp_path / "results"
    shutil.copytree(RESULTS, out, ignore=shutil.ignore_patterns("figures", "profiles", "*.safetensors"))
    for runs in out.glob("*/runs"):
        for path in sorted(runs.iterdir())[3:]:
            path.unlink()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.parent != out}
    processor(name)
    plan = make_plan(RunConfig(models=("mlp",), device="cpu"))
    for _ in range(2):
        assert len(runner(plan, out, [good_result], []).run().records) == 1
    assert {path: path.read_bytes() for path in before} == before
    (own,) = {path.parent for path in out.glob("*/README.md")} - {path.parent for path in before}
    assert len(RecordStore(own).read_all()[0]) == 2
    assert "The noise floor of this machine was not measured" in (own / "README.md").read_text(encoding="utf-8")
    assert f"({own.name}/README.md)" in (out / "README.md").read_text(encoding="utf-8")


def test_committed_records_lie_with_those_of_their_machine() -> None:
    counts = {}
    for folder in RESULTS.iterdir():
        if folder.is_dir():
            records, problems = RecordStore(folder).read_all()
            checked, _ = read(folder)
            found = {Machine.of(one.environment) for one in records}
            found |= {Machine.of(checked["environment"])} if checked else set()
            (its,) = found
            assert not problems and folder.name in its.names and owner_of(folder) == its
            counts[folder.name] = len(records)
    assert counts["amd-epyc-avx512-bf16-2-cores"] == 204 and counts["amd-epyc-2-cores-unrecorded"] == 45


@pytest.mark.parametrize(
    "changes",
    [
        {"cpu_vendor": "AuthenticAMD"}, {"cpu_family": "25"}, {"cpu_model_id": "1"}, {"cpu_stepping": "1"},
        {"microarchitecture": "zen3"}, {"cpu_model": "AMD EPYC 7763"}, {"isa": ["avx2"]}, {"isa": []},
        {"l1d_cache_kib": 48}, {"l2_cache_kib": None}, {"l3_cache_kib": 16384}, {"cores_used": 1},
        {"physical_cores": 1}, {"logical_cores": 4}, {"memory_gib": 15.6}, {"memory_gib": None},
        {"gpu_name": "NVIDIA H100"}, {"gpu_memory_gib": 79.1}, {"gpu_power_limit_w": 350.0},
    ],
    ids=str,
)  # fmt: skip
def test_any_part_makes_another_machine_and_unknown_is_none_of_them(changes: dict[str, Any]) -> None:
    known = {"isa": ["avx2", "fma"]}
    assert machine(**known) == machine(**known) != machine()
    assert machine(**{**known, **changes}) != machine(**known)
    assert machine(**{**known, **changes}).key != machine(**known).key


@pytest.mark.parametrize(
    "changes",
    [{"memory_gib": 24.1}, {"memory_gib": 31.2}, {"host": "0123abcd"}, {"num_threads": 1}, {"torch": "2.11.0"}],
    ids=str,
)
def test_what_changes_on_one_machine_is_no_part_of_it(changes: dict[str, Any]) -> None:
    assert machine(**{"isa": ["avx2"], **changes}) == machine(isa=["avx2"])


def test_a_driver_that_keeps_a_little_more_memory_makes_no_other_gpu() -> None:
    sizes = [machine(gpu_name="NVIDIA GeForce RTX 4090", gpu_memory_gib=size) for size in (23.49, 23.65)]
    assert sizes[0] == sizes[1] and sizes[0].gpu_memory_gib == 24


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ("amd-epyc-2-cores-unrecorded",)),
        ({"isa": ["avx2", "fma"]}, ("amd-epyc-avx2-2-cores", "amd-epyc-avx2-2-cores-32-kib-l1")),
        ({"isa": ["avx2"], "microarchitecture": "zen3"}, ("amd-epyc-zen3-2-cores",)),
        ({"isa": [], "cores_used": 1}, ("amd-epyc-1-core",)),
        ({"isa": [], "cpu_model": "Apple M2 Pro", "microarchitecture": "m2"}, ("apple-m2-pro-2-cores",)),
        (
            {"isa": [], "cpu_model": "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"},
            ("intel-xeon-platinum-8481c-2-cores",),
        ),
        ({"isa": [], "cpu_model": "AMD Ryzen 9 7950X 16-Core Processor"}, ("amd-ryzen-9-7950x-2-cores",)),
        ({"physical_cores": None, "logical_cores": None}, ("amd-epyc-unrecorded",)),
        ({"cpu_model": "../../etc/passwd", "isa": []}, ("etc-passwd-2-cores",)),
        ({"cpu_model": "龙芯", "isa": []}, ("cpu-2-cores",)),
        ({"gpu_name": "???"}, ("gpu",)),
        ({"gpu_name": "Apple M2 Pro GPU"}, ("apple-m2-pro-gpu",)),
        (
            {"gpu_name": "NVIDIA H100 80GB HBM3", "gpu_memory_gib": 79.1, "gpu_power_limit_w": 350.0},
            ("nvidia-h100-80gb-hbm3", "nvidia-h100-80gb-hbm3-80-gib-350-w"),
        ),
    ],
    ids=str,
)
def test_a_folder_is_named_by_what_tells_a_machine(changes: dict[str, Any], names: tuple[str, ...]) -> None:
    found = machine(**changes).names
    assert found[: len(names)] == names and found[-1] == f"{names[0]}-{machine(**changes).key[:8]}"


def test_of_several_machines_with_one_name_each_has_its_folder_for_good(tmp_path: Path) -> None:
    machines = [machine(isa=["avx2"], l3_cache_kib=size) for size in (8192, 16384, 32768)]
    folders = [machine_folder(tmp_path, one) for one in machines]
    name = "amd-epyc-avx2-2-cores"
    assert [path.name for path in folders] == [name, f"{name}-32-kib-l1", f"{name}-{machines[2].key[:8]}"]
    assert [machine_folder(tmp_path, one) for one in reversed(machines)] == folders[::-1]
    assert all(json.loads((path / FILE).read_text())["cpu_model"] == "AMD EPYC" for path in folders)
    assert sorted(tmp_path.iterdir()) == sorted(folders)


def test_two_processes_at_once_never_share_a_folder_and_equal_ones_do(tmp_path: Path) -> None:
    machines = [machine(isa=["avx2"], l3_cache_kib=size) for size in (8192, 16384)] * 8
    with ThreadPoolExecutor(len(machines)) as pool:
        for trial in range(20):
            out = tmp_path / str(trial)
            found = list(zip(machines, pool.map(lambda one, out=out: machine_folder(out, one), machines), strict=True))
            assert len(set(found)) == 2 and len({folder for _, folder in found}) == 2
            assert {owner_of(folder): folder for folder in out.iterdir()} == dict(found)


@pytest.mark.parametrize("kind", ["record", "selfcheck", "something else"])
def test_a_folder_is_that_of_the_records_in_it(tmp_path: Path, kind: str) -> None:
    here, other = machine(isa=["avx2"]), make_environment(isa=["avx2"], l1d_cache_kib=48)
    taken = tmp_path / here.names[0]
    if kind == "record":
        write_records(taken, make_record(environment=other))
    elif kind == "selfcheck":
        write(taken, {**make_selfcheck(), "environment": other})
    else:
        taken.mkdir()
        (taken / "notes.txt").write_text("mine")
    assert machine_folder(tmp_path, here).name == here.names[1]
    if kind != "something else":
        assert machine_folder(tmp_path, Machine.of(other)) == taken


def test_a_damaged_file_falls_back_to_the_records(tmp_path: Path) -> None:
    folder = machine_folder(tmp_path, machine())
    (folder / FILE).write_text("{")
    write_records(folder, make_record())
    assert machine_folder(tmp_path, machine()) == folder
    shutil.rmtree(folder / "runs")
    assert machine_folder(tmp_path, machine()) != folder


def test_where_nothing_can_be_written_the_option_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="--out .*file is not writable"):
        machine_folder(tmp_path / "file", machine())


def test_a_host_is_told_from_equal_ones_and_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "id").write_text("0123456789abcdef0123456789abcdef\n")
    monkeypatch.setattr(machine_details, "MACHINE_ID", tmp_path / "id")
    found = []
    for name in ("alice-laptop", "alice-laptop", "bob-laptop"):
        monkeypatch.setattr(machine_details.platform, "node", lambda name=name: name)
        found.append(machine_details.host())
    assert found[0] == found[1] != found[2] and all(host and len(host) == 8 and host.isalnum() for host in found)
    (tmp_path / "id").write_text("another\n")
    assert machine_details.host() != found[2]
    (tmp_path / "id").unlink()
    monkeypatch.setattr(machine_details.uuid, "getnode", lambda: 0x0242AC110002)
    assert machine_details.host() is not None
    monkeypatch.setattr(machine_details.uuid, "getnode", lambda: 0x0142AC110002)  # random, since there is no card
    assert machine_details.host() is None


def test_the_microarchitecture_of_this_machine_is_asked_for_without_a_warning() -> None:
    vendor, microarchitecture = vendor_and_microarchitecture()
    assert (vendor is None or vendor) and (microarchitecture is None or microarchitecture)
    here = Machine.of(environment_of("cpu", num_threads=1, variables={}))
    assert (here.cpu_vendor, here.microarchitecture) == (vendor, microarchitecture)
    assert dataclasses.asdict(here)["cores_used"] == here.num_cores
