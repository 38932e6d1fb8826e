"""Compact letter display: models with a common letter are not significantly different."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from string import ascii_lowercase


def compact_letters(names: Sequence[str], different: Collection[tuple[str, str]]) -> dict[str, str]:
    """Letters of each name: two names share one if and only if they aren't known to differ.

    Insert and absorb: start with one group of all; each differing pair splits every group with both into two, one
    without each; a group inside another is absorbed. H.-P. Piepho (2004), An algorithm for a letter-based
    representation of all-pairwise comparisons, Journal of Computational and Graphical Statistics 13:456-466.

    Args:
        names: in the order of the table; `a` goes to the group of the first.
        different: pairs that differ, each in either order.

    Raises:
        ValueError: a pair has a name not in `names`, or the same name twice.
    """
    groups = [frozenset(range(len(names)))] if names else []
    places = {name: place for place, name in enumerate(names)}
    for pair in different:
        if not set(pair) <= set(places) or pair[0] == pair[1]:
            raise ValueError(f"{pair} is no pair of {', '.join(names)}")
        one, other = places[pair[0]], places[pair[1]]
        both = [group for group in groups if {one, other} <= group]
        groups = [group for group in groups if group not in both]
        for split in dict.fromkeys(group - {place} for group in both for place in (one, other)):
            if not any(split <= group for group in groups):
                groups = [group for group in groups if not group <= split]
                groups.append(split)
    ordered = sorted(groups, key=sorted)
    return {
        name: "".join(_letter(index) for index, group in enumerate(ordered) if place in group)
        for name, place in places.items()
    }


def _letter(index: int) -> str:
    """From a to z, then a2 to z2 and so on: so many groups are rare, but must not fail."""
    round_number, place = divmod(index, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(round_number + 1) if round_number else "")
