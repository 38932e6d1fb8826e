"""The tests of what a processor can do, as on other processors; `tox -m processors` runs more than this short set."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SHORT_SET = "tests/test_processor.py"
SETTINGS = {
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "neither AVX512 nor AVX2": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
}


@pytest.mark.slow
@pytest.mark.parametrize("processor", SETTINGS)
def test_the_short_set_passes_as_on(processor: str) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST_"))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "processor",
        "tests/test_processor.py",
    ]
    result = subprocess.run(
        command,
        cwd=Path(__file__).parents[1],
        env={**variables, **SETTINGS[processor]},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    assert re.search(r"^[1-9]\d* passed", result.stdout, re.MULTILINE) and "skipped" not in result.stdout
