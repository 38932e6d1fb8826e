"""Figures on a page: file, position and alternative text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from benchmarks.report.rows import Conditions
from benchmarks.report.text import escape


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A drawn figure.

    Attributes:
        kind: its position on the page, such as `accuracy`.
        path: its SVG file, relative to the page.
        alt: alternative text.
    """

    kind: str
    path: str
    alt: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """All figures of a machine's pages: of sections and of comparisons of arms."""

    by_section: Mapping[Conditions, Sequence[Picture]] = field(default_factory=dict)
    arms: Sequence[Picture] = ()


def images(pictures: Sequence[Picture], *kinds: str) -> list[str]:
    """The figures of some kinds as Markdown blocks, in order."""
    return [f"![{escape(picture.alt)}]({quote(picture.path)})" for picture in pictures if picture.kind in kinds]
