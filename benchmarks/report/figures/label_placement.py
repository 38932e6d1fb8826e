"""Labels beside points without one over another: the nearest free place for each, in pixels of the figure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

RADII = (9, 14, 20, 28, 38, 50, 64, 80, 100, 125, 155, 190)
ANGLES = tuple(math.radians(angle) for angle in (0, 180, 90, 270, 30, 330, 150, 210, 60, 300, 120, 240))
FAR = 16.0
"""Pixels from which on a label needs a thin line that leads to its point."""
ON_A_LINE, CROSSING = 25.0, 60.0
"""So many pixels farther away a label may stand for not lying on a line, and for a line to it that crosses nothing."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with sides along the axes."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Whether they share more than an edge."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def holds(self, other: Box) -> bool:
        """Whether the other lies inside."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.bottom <= other.bottom
            and other.top <= self.top
        )

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The place in it that is nearest to a point."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)


def around(x: float, y: float, half: float) -> Box:
    """A square with this centre."""
    return Box(x - half, y - half, x + half, y + half)


@dataclass(slots=True)
class LabelArea:
    """What is taken of an area, and by what.

    Attributes:
        area: where labels may stand.
        taken: where none may: points, and labels that were placed.
        lines: small boxes along lines: better avoided, but not forbidden.
    """

    area: Box
    taken: list[Box] = field(default_factory=list)
    lines: list[Box] = field(default_factory=list)

    def take_nearest(self, x: float, y: float, width: float, height: float) -> Box | None:
        """Take the best free place for a label of this size beside a point; None where there is none."""
        free = [
            (radius + ON_A_LINE * self._is_on_a_line(box) + CROSSING * self._crosses(x, y, box), box)
            for radius in RADII
            for box in self._candidates(x, y, width, height, radius)
            if self.is_free(box)
        ]
        if not free:
            return None
        _, best = min(free, key=lambda candidate: candidate[0])  # the first of several that are as good
        self.taken.append(best)
        return best

    def take_first(self, boxes: Iterable[Box]) -> Box | None:
        """Take the first of some places that is free; None where none is."""
        best = next((box for box in boxes if self.is_free(box)), None)
        if best is not None:
            self.taken.append(best)
        return best

    def is_free(self, box: Box) -> bool:
        """Whether a label may stand there."""
        return self.area.holds(box) and not any(box.overlaps(other) for other in self.taken)

    def _is_on_a_line(self, box: Box) -> bool:
        return any(box.overlaps(part) for part in self.lines)

    def _crosses(self, x: float, y: float, box: Box) -> bool:
        """Whether a line from a point to its label would run through other labels and points."""
        end = box.nearest(x, y)
        if math.dist(end, (x, y)) <= FAR:
            return False
        others = [other for other in self.taken if not other.holds(around(x, y, 0.0))]
        return any(part.overlaps(other) for part in along([(x, y), end]) for other in others)

    @staticmethod
    def _candidates(x: float, y: float, width: float, height: float, radius: float) -> list[Box]:
        """Boxes whose nearest edge or corner is that far away, in each direction."""
        boxes = []
        for angle in ANGLES:
            across, up = math.cos(angle), math.sin(angle)
            center_x, center_y = x + across * radius + across * width / 2, y + up * radius + up * height / 2
            boxes.append(Box(center_x - width / 2, center_y - height / 2, center_x + width / 2, center_y + height / 2))
        return boxes


def along(points: Sequence[tuple[float, float]], step: float = 4.0) -> list[Box]:
    """Small boxes along a line through these points."""
    boxes: list[Box] = []
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        count = max(1, math.ceil(math.hypot(x1 - x0, y1 - y0) / step))
        boxes += [around(x0 + (x1 - x0) * i / count, y0 + (y1 - y0) * i / count, 1.0) for i in range(count + 1)]
    return boxes
