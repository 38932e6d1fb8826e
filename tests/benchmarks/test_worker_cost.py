"""What isolation costs: how samples become the figures that are shown."""

import runpy
import sys

import pytest

from benchmarks.selfcheck.worker_cost import Sample, page


@pytest.mark.parametrize(
    ("name", "option", "said"),
    [("worker_cost", "--rounds=0", "--rounds 0 must be"), ("determinism", "--models=nonsense", "unknown model")],
)
def test_older_commands_lead_here(
    name: str, option: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, option])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    assert end.value.code == 2 and said in capsys.readouterr().err


def test_the_cost_is_the_difference_of_each_round() -> None:
    here = [Sample(2.0, 1.0), Sample(4.0, 1.0), Sample(3.0, 1.0)]
    there = [Sample(7.0, 1.0), Sample(8.0, 1.5), Sample(9.0, 0.5)]
    variant, seed = page({"in process": here, "worker": there}).splitlines()[2:4]
    assert "3.00 [2.00, 4.00]" in variant and "8.00 [7.00, 9.00]" in variant and "5.00 [4.00, 6.00]" in variant
    assert seed.rstrip().endswith("0.00 [-0.50, 0.50]")
    assert "3 interleaved rounds" in page({"in process": here, "worker": there})
