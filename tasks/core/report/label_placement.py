"""Puts names beside the points of a figure so that they do not cover each other."""

from collections.abc import Sequence
from dataclasses import dataclass

_LETTER = 7.4  # pixels of an average bold letter at 12 px; a little generous to DejaVu Sans
_HEIGHT = 14.0
_GAP = 9.0


@dataclass(frozen=True)
class Label:
    """Where a name stands: its baseline, and which end of it is at x (SVG's text-anchor)."""

    x: float
    y: float
    anchor: str


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "_Box") -> float:
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


def place_labels(
    points: Sequence[tuple[float, float, str]],
    frame: tuple[float, float, float, float],
    obstacles: Sequence[tuple[float, float]] = (),
) -> list[Label]:
    """One label per (x, y, name), greedily at the free-est of ten places around its point.

    ``frame`` is left, top, right, bottom of the figure in pixels. A label counts as covered
    where it leaves the frame or lies over a point or an obstacle (x, y). First come, first
    served: give the points in the order of their importance.
    """
    marks = [*((x, y) for x, y, _ in points), *obstacles]
    taken = [_Box(x - 7, y - 7, x + 7, y + 7) for x, y in marks]
    labels = []
    for x, y, name in points:
        places = _places(x, y, len(name) * _LETTER)
        label, box = min(places, key=lambda place: _cost(place[1], taken, frame))
        taken.append(box)
        labels.append(label)
    return labels


def _places(x: float, y: float, width: float) -> list[tuple[Label, _Box]]:
    found = []
    for rise in (0.0, -16.0, 16.0):
        found.append((Label(x + _GAP, y + rise + 4, "start"), x + _GAP))
        found.append((Label(x - _GAP, y + rise + 4, "end"), x - _GAP - width))
    for rise in (-14.0, 18.0, -30.0, 34.0):
        found.append((Label(x, y + rise + 2, "middle"), x - width / 2))
    return [
        (label, _Box(left, label.y - _HEIGHT + 3, left + width, label.y + 3))
        for label, left in found
    ]


def _cost(box: _Box, taken: Sequence[_Box], frame: tuple[float, float, float, float]) -> float:
    inside = box.overlap(_Box(*frame))
    outside = (box.right - box.left) * (box.bottom - box.top) - inside
    return outside * 3 + sum(box.overlap(other) for other in taken)
