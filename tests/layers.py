"""The floors of the house, and what may import what. `python -m tests.layers` prints the figures.

Every import counts, inside functions and for type checkers alone as well. What stands on no floor is entered by name
from outside: commands whose module has moved, and micro-benchmarks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import grimp

LAYERS = (
    ("fmnist_zoo",),
    ("stats",),
    ("records",),
    ("measure", "report"),
    ("workers", "compare"),
    ("peers", "sweep"),
    ("selfcheck", "tune", "run"),
    ("reproduce",),
)
"""From the ground: a package may import from floors below its own and nothing else."""
FORWARDS = ("determinism", "labels", "mistakes", "worker_cost")
MICRO_BENCHMARKS = ("conftest", "test_data", "test_models")
BESIDE = (*FORWARDS, *MICRO_BENCHMARKS)
FLOOR = {package: floor for floor, packages in enumerate(LAYERS) for package in packages}

Arrows = Mapping[tuple[str, str], list[str]]


def imports() -> grimp.ImportGraph:
    """All modules of both packages and the imports between them."""
    return grimp.build_graph("benchmarks", "fmnist_zoo", cache_dir=None)


def package_of(module: str) -> str:
    """`sweep` for `benchmarks.sweep.plan`; the library counts as one."""
    top, _, rest = module.partition(".")
    return top if top == "fmnist_zoo" else rest.partition(".")[0]


def arrows(graph: grimp.ImportGraph) -> Arrows:
    """The imports from one package to another, each as `importer -> imported`."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            pair = package_of(module), package_of(imported)
            if pair[0] != pair[1] and pair[0] not in BESIDE:
                found[pair].append(f"{module} -> {imported}")
    return found


def cycles(graph: grimp.ImportGraph) -> list[str]:
    """Imports that lead back to the module that they stand in."""
    return [
        f"{module} -> {imported}"
        for module in sorted(graph.modules)
        for imported in sorted(graph.find_modules_directly_imported_by(module))
        if graph.chain_exists(imported, module)
    ]


def heights(found: Arrows) -> dict[str, int]:
    """On which floor each package stands by its imports, counted from 1; packages that need each other share one."""
    packages = {package for pair in found for package in pair}
    below = {package: {other for upper, other in found if upper == package} for package in packages}
    for middle in packages:  # Warshall: all that is reached, by one arrow or several
        for package in packages:
            if middle in below[package]:
                below[package] |= below[middle]
    height = dict.fromkeys(packages, 1)
    for _ in packages:
        for upper, other in found:
            mutual = upper in below[other]
            height[upper] = max(height[upper], height[other] + (not mutual))
    return height


def main() -> None:
    """Print the figures, and the packages from the roof down."""
    graph = imports()
    found = arrows(graph)
    height = heights(found)
    top = max(height.values())
    print(f"{len(height)} packages, {top} floors, {len(found)} arrows, {len(cycles(graph))} imports that lead back")
    for floor in range(top, 0, -1):
        print(floor, *sorted(package for package in height if height[package] == floor))


if __name__ == "__main__":
    main()
