"""What every figure is drawn with: scales, axes, marks, and an SVG that can be read aloud."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.core.report.markup import Child, Html, element, join
from tasks.core.report.quantities import Interval


@dataclass(frozen=True)
class Scale:
    """Maps values from ``low..high`` to pixels ``start..stop``, by logarithm where ``log``."""

    low: float
    high: float
    start: float = 0.0
    stop: float = 100.0
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value: ``Scale(0, 2).at(1) == 50``; outside values stay at the edge."""
        low, high = self._linear(self.low), self._linear(self.high)
        share = min(1.0, max(0.0, (self._linear(value) - low) / (high - low)))
        return self.start + share * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Round values inside the scale, three to six of them where the range allows."""
        return _log_ticks(self.low, self.high) if self.log else _even_ticks(self.low, self.high)

    def _linear(self, value: float) -> float:
        return math.log(value) if self.log else value


def scale_over(values: Iterable[float], start: float, stop: float, margin: float = 0.06) -> Scale:
    """A linear scale that holds all values with a margin on both sides."""
    known = list(values)
    low, high = min(known), max(known)
    room = margin * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(low - room, high + room, start, stop)


def log_scale_over(values: Iterable[float], start: float, stop: float) -> Scale:
    """A logarithmic scale that holds all (positive) values with a margin on both sides."""
    known = list(values)
    low, high = min(known), max(known)
    room = max((high / low) ** 0.12, 1.15)
    return Scale(low / room, high * room, start, stop, log=True)


def bounds(interval: Interval) -> tuple[float, float, float]:
    """Low, value, high of an interval of report.json; the value thrice where bounds are unknown."""
    value, low, high = interval["value"], interval.get("low"), interval.get("high")
    return (value if low is None else low), value, (value if high is None else high)


def figure(slug: str, title: str, description: str, size: tuple[int, int], *marks: Child) -> Html:
    """An SVG with a title and a description for those who listen; the slug makes ids unique."""
    width, height = size
    return element(
        "svg",
        element("title", title, id=f"{slug}-title"),
        element("desc", description, id=f"{slug}-desc"),
        *marks,
        class_="figure",
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_labelledby=f"{slug}-title {slug}-desc",
    )


def x_axis(scale: Scale, y: float, top: float, title: str, labels: Sequence[str]) -> Html:
    """A horizontal axis at height y: grid lines up to ``top``, a label per tick, a title."""
    ticks = [
        join(
            line(scale.at(tick), top, scale.at(tick), y, "grid"),
            text(scale.at(tick), y + 16, label, anchor="middle"),
        )
        for tick, label in zip(scale.ticks(), labels, strict=True)
    ]
    middle = (scale.start + scale.stop) / 2
    return join(*ticks, text(middle, y + 35, title, "axis-title", anchor="middle"))


def y_axis(scale: Scale, x: float, right: float, title: str, labels: Sequence[str]) -> Html:
    """A vertical axis at x: grid lines to ``right``, a label per tick, the title above."""
    ticks = [
        join(
            line(x, scale.at(tick), right, scale.at(tick), "grid"),
            text(x - 7, scale.at(tick) + 4, label, anchor="end"),
        )
        for tick, label in zip(scale.ticks(), labels, strict=True)
    ]
    return join(*ticks, text(2, min(scale.start, scale.stop) - 12, title, "axis-title"))


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Html:
    """A straight line in pixels."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(x: float, y: float, words: str, class_: str = "tick", anchor: str = "start") -> Html:
    """Text in pixels, at its baseline."""
    return element("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def mark(x: float, y: float, series: str, title: str, radius: float = 5.5) -> Html:
    """A point with a shape per series, so that color is never alone.

    Circles for relevance, squares for clicks, a diamond for an end, a ringed circle for a choice.
    """
    named = element("title", title)
    if series in ("clicks", "end"):
        turned = f"rotate(45 {x:.2f} {y:.2f})" if series == "end" else None
        corner = {"x": x - radius, "y": y - radius, "width": 2 * radius, "height": 2 * radius}
        return element("rect", named, class_=f"mark {series}", transform=turned, **corner)
    ring = element("circle", cx=x, cy=y, r=radius + 4, class_=f"ring {series}")
    point = element("circle", named, cx=x, cy=y, r=radius, class_=f"mark {series}")
    return join(ring, point) if series == "chosen" else point


def _even_ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(ticks) >= 3:
            return ticks
    return _even_ticks(low, high)
