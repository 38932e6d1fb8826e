"""Figures as a page shows them: the names of their files, where they stand, and what they show in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from benchmarks.report.rows import Conditions
from benchmarks.report.text import escape


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A figure that was drawn.

    Attributes:
        kind: where the page has it, such as `accuracy`.
        path: of its SVG, relative to the page.
        alt: what it shows, in words.
    """

    kind: str
    path: str
    alt: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """All figures of a machine's page: those of its sections, and those of its comparisons of arms."""

    by_section: Mapping[Conditions, Sequence[Picture]] = field(default_factory=dict)
    arms: Sequence[Picture] = ()


def images(pictures: Sequence[Picture], *kinds: str) -> list[str]:
    """A page's blocks for its figures of some kinds, as markdown, in their order."""
    return [f"![{escape(picture.alt)}]({quote(picture.path)})" for picture in pictures if picture.kind in kinds]
