"""No import leads back to where it stands, and packages need each other less and less."""

import pytest
from grimp import ImportGraph

from tests.layers import arrows, cycles, imports


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    return imports()


def test_no_import_leads_back(graph: ImportGraph) -> None:
    assert cycles(graph) == []


def test_no_more_packages_need_each_other_than_did(graph: ImportGraph) -> None:
    assert len(arrows(graph)) <= 239
