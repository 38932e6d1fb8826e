"""Several processes at one cache, killed ones, and ones that may not write: done for real."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fmnist_zoo.data.datasets import DECODED_NAME
from fmnist_zoo.data.download import Outside
from tests.data.tiny import Mirror, Tiny, has_data_of, load

ROOT = Path(__file__).parents[2]

# Says when it is ready, and at a line on its input loads a dataset from one mirror into a cache. Prints the sum
# of its pixels, or the name of the error and the error.
LOADER = """
import pickle, sys
from pathlib import Path
from fmnist_zoo.data import DataError
from fmnist_zoo.data.datasets import load_cached
from fmnist_zoo.data.progress import Reporter
from fmnist_zoo.data.sources import default_sources
from fmnist_zoo.data.download import Outside

spec, cache, url, root = pickle.loads(Path(sys.argv[1]).read_bytes())
outside = Outside(mirrors=lambda _: [url], find_tool=lambda _: None, system_root=Path(root))
reporter = Reporter()
print("ready", flush=True)
sys.stdin.readline()
if len(sys.argv) > 2:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    sources = default_sources(spec, cache, reporter=reporter, outside=outside)
    print(int(load_cached(spec, cache, sources, reporter=reporter).train.images.sum()))
except DataError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def job(tiny: Tiny, cache: Path, mirror: Mirror, tmp_path: Path) -> Path:
    path = tmp_path / "job"
    path.write_bytes(pickle.dumps((tiny.spec, cache, mirror.url, str(tmp_path / "root"))))
    return path


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LOADER, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def go(process: subprocess.Popen[str]) -> None:
    """Let a process that was started begin to load."""
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output.strip(), errors


def run(*arguments: object) -> tuple[str, str]:
    process = start(*arguments)
    go(process)
    return finish(process)


def wait_for_a_request(mirror: Mirror) -> None:
    deadline_s = time.monotonic() + 60
    while not mirror.asked and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert mirror.asked


def test_processes_at_once_fetch_each_file_once(tiny: Tiny, job: Path, mirror: Mirror) -> None:
    mirror.gate.clear()
    first, *others = [start(job) for _ in range(3)]
    go(first)
    wait_for_a_request(mirror)
    for process in others:
        go(process)
    for process in others:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("waiting for another process")
    mirror.gate.set()
    assert len({finish(process)[0] for process in (first, *others)}) == 1
    assert mirror.asked == list(tiny.plain)


def test_a_process_killed_in_a_download_is_in_nobodys_way(
    tiny: Tiny, job: Path, cache: Path, mirror: Mirror, online: Outside
) -> None:
    mirror.gate.clear()
    process = start(job)
    go(process)
    wait_for_a_request(mirror)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    mirror.gate.set()
    (cache / f".{DECODED_NAME}.1.tmp").write_bytes(b"half")  # of one killed while it wrote
    assert has_data_of(load(tiny.spec, cache, online), tiny)
    assert not list(cache.glob("*.tmp")) and not list(cache.glob(".*.tmp"))


def test_a_file_size_limit_in_a_download_is_an_error_and_leaves_nothing(job: Path, cache: Path) -> None:
    output, _ = run(job, 1000)
    assert output.startswith("CacheWriteError can't write")
    assert "File too large" in output
    assert [path.name for path in cache.iterdir() if path.name != ".lock"] == []


def test_a_file_size_limit_on_the_decoded_file_costs_speed_alone(
    tiny: Tiny, job: Path, cache: Path, online: Outside
) -> None:
    largest = max(len(raw) for raw in tiny.gz.values())
    output, errors = run(job, largest)
    assert output.isdecimal()
    assert "the decoded dataset is not cached" in errors
    assert not (cache / DECODED_NAME).exists()
    assert int(load(tiny.spec, cache, online).train.images.sum()) == int(output)


def test_what_is_fetched_is_said_in_plain_lines(job: Path) -> None:
    _, errors = run(job)
    lines = errors.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("fetching http://") and lines[0].endswith(" MB)")
    assert lines[1].startswith("fetched http://")


def test_fetching_files_does_not_need_torch() -> None:
    code = "import sys, fmnist_zoo.data, fmnist_zoo.data.sources; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
