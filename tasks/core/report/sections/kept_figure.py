"""The figure of quality kept against what a model costs: its weights or its speed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tasks.core.report.figures import (
    Scale,
    bounds,
    figure,
    line,
    log_scale_over,
    mark,
    scale_over,
    text,
    x_axis,
    y_axis,
)
from tasks.core.report.label_placement import place_labels
from tasks.core.report.legend import legend
from tasks.core.report.markup import Html, join
from tasks.core.report.quantities import Interval, parameters, percent, rate, words

_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 448, 34, 262
_FAR = 1e9
_GOALS = {"relevance": "ndcg_at_10", "clicks": "click_auc"}
_NAMES = {"relevance": "NDCG@10 kept", "clicks": "Click AUC kept"}
_AXES = {"parameters": "weights (log scale)", "pairs_per_second": "pairs per second (log scale)"}


class _Point(NamedTuple):
    role: str
    series: str
    cost: float
    kept: Interval


def kept_figure(tiers: Sequence[Mapping[str, Any]], cost: str) -> Html:
    """Quality kept of every tier, with intervals, against its weights or its speed."""
    points = [
        _Point(words(tier["role"]), series, tier[cost], tier["kept"][goal])
        for series, goal in _GOALS.items()
        for tier in tiers
        if tier["kept"].get(goal) is not None
    ]
    write = parameters if cost == "parameters" else rate
    x = log_scale_over([point.cost for point in points], _LEFT, _RIGHT)
    y = scale_over([1.0, *(b for p in points for b in bounds(p.kept))], _BOTTOM, _TOP)
    marks = [_marks(point, x, y) for point in points]
    spoken = (
        f"{p.role}, {p.series}: {percent(p.kept['value'])} at {write(p.cost)}" for p in points
    )
    drawing = figure(
        f"kept-by-{cost.replace('_', '-')}",
        f"Share of the teacher's quality kept against {_AXES[cost]}",
        "; ".join(spoken),
        (460, 306),
        y_axis(y, _LEFT, _RIGHT, "share kept", [percent(tick) for tick in y.ticks()]),
        x_axis(x, _BOTTOM, _TOP, _AXES[cost], [write(tick) for tick in x.ticks()]),
        line(_LEFT, y.at(1.0), _RIGHT, y.at(1.0), "reference"),
        *marks,
        *_names(points, x, y),
    )
    shown = [series for series in _GOALS if any(point.series == series for point in points)]
    return join(drawing, legend({series: _NAMES[series] for series in shown}))


def _at(point: _Point, x: Scale, y: Scale) -> tuple[float, float]:
    # The two goals of a model cost the same: a step aside keeps one from hiding the other.
    aside = -3.5 if point.series == "relevance" else 3.5
    return x.at(point.cost) + aside, y.at(point.kept["value"])


def _marks(point: _Point, x: Scale, y: Scale) -> Html:
    low, _, high = (y.at(bound) for bound in bounds(point.kept))
    across, up = _at(point, x, y)
    title = f"{point.role}: {percent(point.kept['value'])} kept"
    return join(
        line(across, low, across, high, f"whisker {point.series}"),
        mark(across, up, point.series, title),
    )


def _names(points: Sequence[_Point], x: Scale, y: Scale) -> list[Html]:
    named: dict[str, float] = {}
    places = []
    for point in points:
        across, up = _at(point, x, y)
        # The second goal's point needs a name of its own where it lies far from the first's.
        if abs(named.get(point.role, _FAR) - up) > 40:
            named[point.role] = up
            places.append((across, up, point.role))
    obstacles = [(_at(p, x, y)[0], y.at(bound)) for p in points for bound in bounds(p.kept)]
    labels = place_labels(places, (_LEFT, 22, 458, _BOTTOM), obstacles)
    return [
        text(label.x, label.y, name, "point-name", label.anchor)
        for label, (_, _, name) in zip(labels, places, strict=True)
    ]
