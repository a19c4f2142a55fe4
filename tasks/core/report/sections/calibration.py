"""Reliability before and after calibration: does 30% mean three in ten?"""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.report.blocks import not_measured, panel, section
from tasks.core.report.figures import (
    Scale,
    figure,
    line,
    mark,
    x_axis,
    y_axis,
)
from tasks.core.report.legend import legend
from tasks.core.report.markup import Child, Html, element, join
from tasks.core.report.quantities import count, decimal, lower_words, percent, words
from tasks.core.report.roles import served_tier
from tasks.core.report.schema import Report
from tasks.core.report.tables import Column, table

_TERMS = {
    "Calibrated": "when the model says 30%, it happens in about 30 of 100 cases.",
    "Reliability diagram": "said probability against what happened; on the diagonal both agree.",
    "ECE": "the average distance from the diagonal; 0 is perfect.",
    "Grade": "the probability of a grade in the upper half of the scale.",
    "Actions": "the probability for a candidate that is looked at, as the first of a list is. What "
    "was taken counts as many times as its position is overlooked, so a bin may be above 100%.",
}
_WIDTH, _HEIGHT = 246, 238
_LEFT, _RIGHT = 44, 228  # what stands to the left of it is as wide as "100%"


def calibration(report: Report) -> Html:
    """The error before and after for every model and output, and the diagrams."""
    diagrams = [
        _diagram(role, output, bins)
        for role, outputs in (report.get("reliability") or {}).items()
        for output, bins in outputs.items()
    ]
    return section(
        "calibration",
        "Can the probabilities be believed?",
        _finding(report),
        element("div", *diagrams, class_="multiples") if diagrams else None,
        _errors(report["tiers"]) if any(t["calibration"] for t in report["tiers"]) else None,
        terms=_TERMS,
    )


def _finding(report: Report) -> Html | str:
    tier = served_tier(report)
    after = (
        {}
        if tier is None
        else {
            output: errors["ece_after"]
            for output, errors in tier["calibration"].items()
            if errors["ece_after"] is not None
        }
    )
    if tier is None or not after:
        return not_measured(report, "calibrate")
    worst = max(after, key=lambda output: after[output])
    return (
        f"After calibration the {lower_words(tier['role'])} is off by {percent(after[worst])} "
        f"on average where it is worst ({worst.replace('_', ' ')})."
    )


def _errors(tiers: Sequence[Mapping[str, Any]]) -> Html:
    outputs = list(dict.fromkeys(output for tier in tiers for output in tier["calibration"]))
    rows = [
        [words(tier["role"]), *(_error(tier["calibration"].get(output)) for output in outputs)]
        for tier in tiers
    ]
    columns = [Column("Model"), *(Column(f"ECE, {lower_words(o)}", number=True) for o in outputs)]
    return table("Calibration error (ECE), before and after calibration.", columns, rows, True)


def _error(errors: Mapping[str, Any] | None) -> Child:
    if errors is None or errors["ece_after"] is None:
        return element("span", "not measured", class_="missing")
    return f"{decimal(errors['ece_before'])} → {decimal(errors['ece_after'])}"


def _diagram(role: str, output: str, bins: Mapping[str, Sequence[Sequence[float]]]) -> Html:
    highest = max((max(b[0], b[1]) for rows in bins.values() for b in rows), default=1.0)
    top = max(0.1, highest, min(1.0, 1.08 * highest))
    x, y = Scale(0, top, _LEFT, _RIGHT), Scale(0, top, 198, 26)
    ticks = [percent(tick, 0) for tick in x.ticks()]
    drawing = figure(
        f"reliability-{role}-{output}",
        f"Reliability of {lower_words(role)}, {lower_words(output)}",
        _spoken(bins),
        (_WIDTH, _HEIGHT),
        y_axis(y, _LEFT, _RIGHT, "happened", ticks),
        x_axis(x, 198, 26, "said", ticks),
        line(x.at(0), y.at(0), x.at(top), y.at(top), "reference"),
        *(_curve(bins[when], x, y, series) for when, series in _WHEN.items() if when in bins),
    )
    key = legend({series: when for when, series in _WHEN.items()})
    return panel(f"{words(role)}: {lower_words(output)}", join(drawing, key))


_WHEN = {"before": "neutral", "after": "relevance"}


def _curve(bins: Sequence[Sequence[float]], x: Scale, y: Scale, series: str) -> Html:
    places = [(x.at(said), y.at(happened)) for said, happened, _ in bins]
    titles = [f"said {percent(s)}, happened {percent(h)}, {count(n)} rows" for s, h, n in bins]
    return join(
        element(
            "polyline",
            points=" ".join(f"{px:.1f},{py:.1f}" for px, py in places),
            class_=f"curve {series}",
        ),
        *(
            mark(px, py, series, title, radius=3.2)
            for (px, py), title in zip(places, titles, strict=True)
        ),
    )


def _spoken(bins: Mapping[str, Sequence[Sequence[float]]]) -> str:
    return "; ".join(
        f"{when}: "
        + ", ".join(f"{percent(b[0], 0)} said, {percent(b[1], 0)} happened" for b in rows)
        for when, rows in bins.items()
    )
