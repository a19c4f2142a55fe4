"""Position bias: how likely a place in the list is to be looked at."""

from collections.abc import Mapping

from tasks.core.report.blocks import not_measured, panel, section, side_by_side
from tasks.core.report.figures import (
    Scale,
    bounds,
    figure,
    line,
    mark,
    text,
    y_axis,
)
from tasks.core.report.markup import Html, join
from tasks.core.report.quantities import Interval, decimal, percent, span, words
from tasks.core.report.schema import Report
from tasks.core.report.tables import Column, table

_TERMS = {
    "Propensity": "the chance that a member looks at this position, against the first. Clicks are "
    "weighed by it, so that the top of the list gets no credit for its place.",
}
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 448, 34, 232
_MOST_WORDS = 12


def propensities(report: Report) -> Html:
    """The propensity by position, with intervals; where the log did not tell it, that."""
    title = "Position bias in the clicks"
    found = report.get("propensities")
    if not found:
        return section(
            "propensities",
            title,
            not_measured(report, "propensit", "impression", "click"),
            _words(report.get("click_words")),
        )
    ordered = dict(sorted(found.items(), key=lambda entry: int(entry[0])))
    last = list(ordered)[-1]
    return section(
        "propensities",
        title,
        f"Position {last} is looked at {percent(ordered[last]['value'], 0)} as often as "
        f"position {next(iter(ordered))}.",
        side_by_side(
            panel("Chance of being looked at, by position", _figure(ordered)),
            panel("The same in numbers", _numbers(ordered)),
        ),
        _words(report.get("click_words")),
        terms=_TERMS,
    )


def _figure(found: Mapping[str, Interval]) -> Html:
    highest = max(bounds(interval)[2] for interval in found.values())
    y = Scale(0.0, 1.05 * highest, _BOTTOM, _TOP)
    x = Scale(0.0, float(len(found)), _LEFT, _RIGHT)
    return figure(
        "propensity",
        "Propensity by position",
        ", ".join(f"position {p}: {decimal(i['value'], 2)}" for p, i in found.items()),
        (460, 274),
        y_axis(y, _LEFT, _RIGHT, "propensity", [f"{tick:g}" for tick in y.ticks()]),
        *(
            _position(x.at(place + 0.5), y, position, interval)
            for place, (position, interval) in enumerate(found.items())
        ),
        text((_LEFT + _RIGHT) / 2, _BOTTOM + 36, "position in the list", "axis-title", "middle"),
    )


def _position(at: float, y: Scale, position: str, interval: Interval) -> Html:
    low, value, high = bounds(interval)
    return join(
        line(at, y.at(low), at, y.at(high), "whisker clicks"),
        mark(at, y.at(value), "clicks", f"position {position}: {decimal(value, 2)}", 4.0),
        text(at, _BOTTOM + 17, position, anchor="middle"),
    )


def _numbers(found: Mapping[str, Interval]) -> Html:
    rows = [
        [position, decimal(known["value"], 2), span(known.get("low"), known.get("high"), 2)]
        for position, known in found.items()
    ]
    columns = [Column("Position"), Column("Propensity", number=True), Column("95%", number=True)]
    return table("By position, with 95% intervals.", columns, rows)


def _words(found: Mapping[str, Mapping[str, list[str]]] | None) -> Html | None:
    """Words of candidates beside which members act more often, or less, than the place explains."""
    if not found:
        return None
    rows = [
        [words(action), *(", ".join(told[side][:_MOST_WORDS]) for side in ("more", "less"))]
        for action, told in found.items()
    ]
    columns = [Column("Action"), Column("More often beside", wide=True)]
    columns.append(Column("Less often beside", wide=True))
    caption = "Of the candidates shown, whoever asks; the most telling first."
    return panel("Words that go with clicks", table(caption, columns, rows))
