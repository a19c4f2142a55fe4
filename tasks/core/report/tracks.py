"""Small figures that stand in a table row: they stretch with the row and keep their shapes."""

from collections.abc import Iterable

from tasks.core.report.figures import Scale, bounds, scale_over
from tasks.core.report.markup import Child, Html, element
from tasks.core.report.quantities import Interval

HEIGHT = 18


def track_scale(intervals: Iterable[Interval | None], *references: float | None) -> Scale:
    """One scale in percent for all rows of a column, so that rows can be compared by eye."""
    known = [bound for interval in intervals if interval is not None for bound in bounds(interval)]
    known += [reference for reference in references if reference is not None]
    return scale_over(known or [0.0, 1.0], 0.0, 100.0, margin=0.05)


def interval_track(
    interval: Interval, scale: Scale, title: str, series: str, reference: float | None = None
) -> Html:
    """A point with its interval on a shared scale, and a thin line at the reference."""
    low, value, high = (scale.at(bound) for bound in bounds(interval))
    return _strip(
        title,
        _line(0, 100, "rail"),
        None if reference is None else _tick(scale.at(reference)),
        _line(low, high, f"whisker {series}"),
        element("circle", cx=f"{value:.2f}%", cy=HEIGHT / 2, r=4.5, class_=f"mark {series}"),
    )


def bar(share: float, title: str, series: str = "relevance") -> Html:
    """A bar from zero to ``share`` (0 to 1) of the row's width."""
    width = f"{100 * min(1.0, max(0.0, share)):.2f}%"
    return _strip(
        title,
        element("rect", x=0, y=4, width="100%", height=HEIGHT - 8, rx=2, class_="bar-rail"),
        element("rect", x=0, y=4, width=width, height=HEIGHT - 8, rx=2, class_=f"bar {series}"),
    )


def scale_row(scale: Scale, labels: Iterable[str]) -> Html:
    """The tick labels of a shared scale, to stand above or below the rows that use it."""
    ticks = [
        element(
            "text", label, x=f"{scale.at(tick):.2f}%", y=12, class_="tick", text_anchor="middle"
        )
        for tick, label in zip(scale.ticks(), labels, strict=True)
    ]
    return element("svg", *ticks, class_="track", height=HEIGHT, aria_hidden="true")


def _strip(title: str, *marks: Child) -> Html:
    return element(
        "svg",
        element("title", title),
        *marks,
        class_="track",
        height=HEIGHT,
        role="img",
        aria_label=title,
    )


def _line(start: float, stop: float, class_: str) -> Html:
    return element(
        "line", x1=f"{start:.2f}%", x2=f"{stop:.2f}%", y1=HEIGHT / 2, y2=HEIGHT / 2, class_=class_
    )


def _tick(at: float) -> Html:
    return element(
        "line", x1=f"{at:.2f}%", x2=f"{at:.2f}%", y1=1, y2=HEIGHT - 1, class_="reference"
    )
