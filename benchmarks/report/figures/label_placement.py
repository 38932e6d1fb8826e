"""Placement of point labels without overlaps: the nearest free place for each, in pixels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

RADII = (9, 14, 20, 28, 38, 50, 64, 80, 100, 125, 155, 190)
ANGLES = tuple(math.radians(angle) for angle in (0, 180, 90, 270, 30, 330, 150, 210, 60, 300, 120, 240))
FAR = 16.0
"""Distance in pixels from which a label gets a leader line to its point."""
ON_A_LINE, CROSSING = 25.0, 60.0
"""Penalties in pixels for a label on a line, and for a leader line that crosses labels or points."""


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Whether the interiors overlap."""
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
        """The point of the box nearest to (x, y)."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)


def around(x: float, y: float, half: float) -> Box:
    """A square with the given centre and half side."""
    return Box(x - half, y - half, x + half, y + half)


@dataclass(slots=True)
class LabelArea:
    """An area for labels and the obstacles in it.

    Attributes:
        area: where labels may be placed.
        taken: forbidden boxes: points and placed labels.
        lines: small boxes along lines, to be avoided if possible.
    """

    area: Box
    taken: list[Box] = field(default_factory=list)
    lines: list[Box] = field(default_factory=list)

    def take_nearest(self, x: float, y: float, width: float, height: float) -> Box | None:
        """Take the best free place for a label of this size near a point; None if there is none."""
        free = [
            (radius + ON_A_LINE * self._is_on_a_line(box) + CROSSING * self._crosses(x, y, box), box)
            for radius in RADII
            for box in self._candidates(x, y, width, height, radius)
            if self.is_free(box)
        ]
        if not free:
            return None
        _, best = min(free, key=lambda candidate: candidate[0])  # the first of equals
        self.taken.append(best)
        return best

    def take_first(self, boxes: Iterable[Box]) -> Box | None:
        """Take the first free box; None if there is none."""
        best = next((box for box in boxes if self.is_free(box)), None)
        if best is not None:
            self.taken.append(best)
        return best

    def is_free(self, box: Box) -> bool:
        """Whether a label fits in this box."""
        return self.area.holds(box) and not any(box.overlaps(other) for other in self.taken)

    def _is_on_a_line(self, box: Box) -> bool:
        return any(box.overlaps(part) for part in self.lines)

    def _crosses(self, x: float, y: float, box: Box) -> bool:
        """Whether the leader line from a point to its label would cross other labels or points."""
        end = box.nearest(x, y)
        if math.dist(end, (x, y)) <= FAR:
            return False
        others = [other for other in self.taken if not other.holds(around(x, y, 0.0))]
        return any(part.overlaps(other) for part in along([(x, y), end]) for other in others)

    @staticmethod
    def _candidates(x: float, y: float, width: float, height: float, radius: float) -> list[Box]:
        """Boxes at this distance from the point, in each direction."""
        boxes = []
        for angle in ANGLES:
            across, up = math.cos(angle), math.sin(angle)
            center_x, center_y = x + across * radius + across * width / 2, y + up * radius + up * height / 2
            boxes.append(Box(center_x - width / 2, center_y - height / 2, center_x + width / 2, center_y + height / 2))
        return boxes


def along(points: Sequence[tuple[float, float]], step: float = 4.0) -> list[Box]:
    """Small boxes along a polyline."""
    boxes: list[Box] = []
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        count = max(1, math.ceil(math.hypot(x1 - x0, y1 - y0) / step))
        boxes += [around(x0 + (x1 - x0) * i / count, y0 + (y1 - y0) * i / count, 1.0) for i in range(count + 1)]
    return boxes
