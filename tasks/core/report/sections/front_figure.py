"""The figure of relevance against clicks over all mixes of the two teachers."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tasks.core.report.figures import (
    Scale,
    bounds,
    figure,
    line,
    mark,
    scale_over,
    text,
    x_axis,
    y_axis,
)
from tasks.core.report.label_placement import place_labels
from tasks.core.report.legend import legend
from tasks.core.report.markup import Html, element, join
from tasks.core.report.quantities import Interval, decimal

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 442, 34, 292
_ENDS = {1.0: ("policy_only", "policy teacher only"), 0.0: ("click_only", "clicks only")}
_NAMES = {"relevance": "a mix", "chosen": "the chosen mix", "end": "one teacher only"}


class _Mix(NamedTuple):
    name: str
    series: str
    ndcg: Interval
    clicks: Interval


def front_figure(mixes: Sequence[Mapping[str, Any]], baselines: Mapping[str, Any]) -> Html:
    """NDCG@10 to the right, click AUC upward, both with intervals; the chosen mix stands out.

    The single teachers are the mixes at alpha 1 and 0, or else the baselines trained on one.
    """
    front = [_mix(mix) for mix in mixes]
    points = front + list(_missing_ends(mixes, baselines))
    x = scale_over([b for p in points for b in bounds(p.ndcg)], _LEFT, _RIGHT)
    y = scale_over([b for p in points for b in bounds(p.clicks)], _BOTTOM, _TOP)
    best = [_at(_mix(mix), x, y) for mix in mixes if mix.get("on_front", True)]
    path = " ".join(f"{across:.1f},{up:.1f}" for across, up in sorted(best))
    drawing = figure(
        "front",
        "Click AUC against NDCG@10 for each mix of the two teachers",
        "; ".join(_spoken(point) for point in points),
        (460, 336),
        y_axis(y, _LEFT, _RIGHT, "click AUC", [f"{tick:g}" for tick in y.ticks()]),
        x_axis(x, _BOTTOM, _TOP, "NDCG@10", [f"{tick:g}" for tick in x.ticks()]),
        *(_cross(point, x, y) for point in points),
        element("polyline", points=path, class_="curve relevance"),
        *(_mark(point, x, y) for point in points),
        *_labels(points, x, y),
    )
    present = {point.series for point in points}
    return join(drawing, legend({key: name for key, name in _NAMES.items() if key in present}))


def mix_name(mix: Mapping[str, Any]) -> str:
    """Its alpha, and its rule for conflicts where it has one."""
    rule = mix.get("conflicts", "none")
    return f"{mix['alpha']:g}" + (f", {rule}" if rule != "none" else "")


def _mix(mix: Mapping[str, Any]) -> _Mix:
    _, end = _ENDS.get(float(mix["alpha"]), ("", ""))
    series = "chosen" if mix.get("chosen") else "end" if end else "relevance"
    return _Mix(end or mix_name(mix), series, mix["ndcg_at_10"], mix["click_auc"])


def _missing_ends(
    mixes: Sequence[Mapping[str, Any]], baselines: Mapping[str, Any]
) -> Iterator[_Mix]:
    swept = {float(mix["alpha"]) for mix in mixes}
    for alpha, (role, name) in _ENDS.items():
        found = baselines.get(role)
        if alpha in swept or found is None:
            continue
        if found["ndcg_at_10"] is not None and found["click_auc"] is not None:
            ndcg = dict(found) | {"value": found["ndcg_at_10"]}
            yield _Mix(name, "end", ndcg, {"value": found["click_auc"]})


def _at(point: _Mix, x: Scale, y: Scale) -> tuple[float, float]:
    return x.at(point.ndcg["value"]), y.at(point.clicks["value"])


def _spoken(point: _Mix) -> str:
    ndcg, clicks = decimal(point.ndcg["value"]), decimal(point.clicks["value"])
    return f"{_alpha(point)}: NDCG@10 {ndcg}, click AUC {clicks}"


def _alpha(point: _Mix) -> str:
    return point.name if point.series == "end" else f"alpha {point.name}"


def _cross(point: _Mix, x: Scale, y: Scale) -> Html:
    (left, _, right), (low, _, high) = bounds(point.ndcg), bounds(point.clicks)
    across, up = _at(point, x, y)
    return join(
        line(x.at(left), up, x.at(right), up, f"cross {point.series}"),
        line(across, y.at(low), across, y.at(high), f"cross {point.series}"),
    )


def _mark(point: _Mix, x: Scale, y: Scale) -> Html:
    return mark(*_at(point, x, y), point.series, _spoken(point))


def _labels(points: Sequence[_Mix], x: Scale, y: Scale) -> list[Html]:
    first = sorted(points, key=lambda point: point.series)  # chosen, then ends, then the others
    places = [(*_at(point, x, y), _label(point)) for point in first]
    labels = place_labels(places, (_LEFT, 22, 458, _BOTTOM), list(_drawn(points, x, y)))
    return [
        text(label.x, label.y, name, "point-name", label.anchor)
        for label, (_, _, name) in zip(labels, places, strict=True)
    ]


def _drawn(points: Sequence[_Mix], x: Scale, y: Scale) -> Iterator[tuple[float, float]]:
    """Places along the front and the whiskers, which names should keep clear of."""
    front = [_at(point, x, y) for point in points]
    for (x1, y1), (x2, y2) in pairwise(front):
        for step in range(1, 8):
            yield x1 + (x2 - x1) * step / 8, y1 + (y2 - y1) * step / 8
    for point, (across, up) in zip(points, front, strict=True):
        (left, _, right), (low, _, high) = bounds(point.ndcg), bounds(point.clicks)
        yield from ((x.at(left), up), (x.at(right), up), (across, y.at(low)), (across, y.at(high)))


def _label(point: _Mix) -> str:
    return f"{_alpha(point)} (chosen)" if point.series == "chosen" else _alpha(point)
