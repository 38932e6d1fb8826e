"""The floors hold: imports lead down, and none leads back."""

import pkgutil

import pytest
from grimp import ImportGraph

import benchmarks
from tests.layers import BESIDE, FLOOR, arrows, cycles, imports


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    return imports()


def test_every_package_has_a_floor() -> None:
    there = {module.name for module in pkgutil.iter_modules(benchmarks.__path__)}
    assert there == {*FLOOR, *BESIDE} - {"fmnist_zoo"}


def test_imports_lead_down(graph: ImportGraph) -> None:
    wrong = [line for (above, below), lines in arrows(graph).items() if FLOOR[above] <= FLOOR[below] for line in lines]
    assert wrong == []


def test_no_import_leads_back(graph: ImportGraph) -> None:
    assert cycles(graph) == []


def test_few_packages_need_each_other(graph: ImportGraph) -> None:
    assert len(arrows(graph)) < 60
