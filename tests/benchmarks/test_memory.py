"""Peak memory: its own process's, not what a larger parent had before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.measure.memory import peak_resident_mib, reset_peak_resident


def test_a_child_does_not_inherit_the_peak_of_its_parent() -> None:
    block = bytearray(300 * 2**20)
    block[::4096] = b"x" * len(block[::4096])  # touched, so that it is resident
    assert peak_resident_mib() > 300
    command = "from benchmarks.measure.memory import peak_resident_mib; print(peak_resident_mib())"
    child = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, close_fds=False)
    assert 1 < float(child.stdout) < 100


def test_it_grows_with_what_is_touched() -> None:
    reset_peak_resident()  # else all that these tests have ever needed has to be touched again, gigabytes at times
    before = peak_resident_mib()
    blocks = [bytearray(b"x" * 2**20) for _ in range(int(before) + 200)]
    assert peak_resident_mib() > before + 100
    del blocks


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can count a peak anew")
def test_a_peak_can_be_forgotten() -> None:
    reset_peak_resident()
    before = peak_resident_mib()
    block = bytearray(b"x") * ((int(before) + 300) * 2**20)
    high = peak_resident_mib()
    assert high > before + 200
    del block
    reset_peak_resident()
    assert peak_resident_mib() < high - 100
