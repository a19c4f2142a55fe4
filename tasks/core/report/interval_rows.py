"""A chart of many values with intervals: one row each, on one shared scale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.core.report.blocks import value_over
from tasks.core.report.figures import Scale
from tasks.core.report.markup import Html, element, join
from tasks.core.report.quantities import Interval, decimal
from tasks.core.report.row_chart import row_chart
from tasks.core.report.tracks import interval_track, scale_row, track_scale


@dataclass(frozen=True)
class Row:
    """One value with its interval; a mapping without low and high is drawn as a bare point."""

    name: str
    interval: Interval
    series: str = "relevance"
    note: str = ""


def interval_rows(
    caption: str,
    rows: Sequence[Row],
    reference: float | None = None,
    write: Callable[[float], str] = decimal,
) -> Html:
    """Rows of name, point with interval, and numbers; a thin line marks the reference."""
    scale = track_scale([row.interval for row in rows], reference)
    axis = scale_row(scale, [write(tick) for tick in scale.ticks()])
    return row_chart(caption, [_cells(row, scale, reference, write) for row in rows], axis)


def _cells(
    row: Row, scale: Scale, reference: float | None, write: Callable[[float], str]
) -> tuple[Html, Html, Html]:
    low, high = row.interval.get("low"), row.interval.get("high")
    value = write(row.interval["value"])
    below = f"{write(low)} to {write(high)}" if low is not None and high is not None else ""
    title = f"{row.name}: {value}{below and ', ' + below}"
    return (
        join(row.name, element("small", row.note) if row.note else None),
        interval_track(row.interval, scale, title, row.series, reference),
        value_over(value, below),
    )
