"""The table of tiers: one row per model, with small bars and intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.report.blocks import value_over
from tasks.core.report.figures import Scale
from tasks.core.report.markup import Child, Html, element, join
from tasks.core.report.quantities import (
    decimal,
    milliseconds,
    parameters,
    percent,
    rate,
    size,
    span,
    words,
)
from tasks.core.report.tables import Column, table
from tasks.core.report.tracks import bar, interval_track, track_scale

_CAPTION = (
    "One row per model, from the teachers down. Small print: 95% intervals. "
    "The thin upright line is 100% kept."
)


def tier_table(tiers: Sequence[Mapping[str, Any]]) -> Html:
    """All tiers with quality, share kept, size and speed; click columns only where measured."""
    with_clicks = any(tier["clicks"] for tier in tiers)
    columns = [
        Column("Model"),
        Column("NDCG@10", number=True),
        Column("NDCG@10 kept", wide=True),
        *([Column("Click AUC", number=True)] if with_clicks else []),
        *([Column("Click AUC kept", wide=True)] if with_clicks else []),
        Column("Kappa", number=True),
        Column("Weights", wide=True),
        Column("Pairs per second", wide=True),
        Column("Latency p50, p99", number=True),
    ]
    scales = {
        goal: track_scale([tier["kept"].get(goal) for tier in tiers], 1.0)
        for goal in ("ndcg_at_10", "click_auc")
    }
    most = {key: max(tier[key] for tier in tiers) for key in ("parameters", "pairs_per_second")}
    rows = [
        [
            *_quality(tier, scales["ndcg_at_10"]),
            *(_clicks(tier, scales["click_auc"]) if with_clicks else []),
            decimal(tier["golden"]["kappa"], 2),
            *_cost(tier, most),
        ]
        for tier in tiers
    ]
    return table(_CAPTION, columns, rows)


def _quality(tier: Mapping[str, Any], scale: Scale) -> list[Child]:
    golden, corrected = tier["golden"], tier["kept"].get("ndcg_chance_corrected")
    note = f"{percent(corrected['value'])} chance-corrected" if corrected else None
    return [
        value_over(words(tier["role"]), tier["base_model"]),
        value_over(decimal(golden["ndcg_at_10"]), span(golden["low"], golden["high"])),
        join(
            _kept(tier, "ndcg_at_10", "relevance", scale),
            element("small", note) if note else None,
        ),
    ]


def _clicks(tier: Mapping[str, Any], scale: Scale) -> list[Child]:
    clicked = (tier["clicks"] or {}).get("clicked")
    return [
        value_over(
            decimal(clicked["value"] if clicked else None),
            span(clicked["low"], clicked["high"]) if clicked else "",
        ),
        _kept(tier, "click_auc", "clicks", scale),
    ]


def _kept(tier: Mapping[str, Any], goal: str, series: str, scale: Scale) -> Html:
    interval = tier["kept"].get(goal)
    if interval is None:
        return element("span", "not measured", class_="missing")
    value = percent(interval["value"])
    below = span(interval["low"], interval["high"], 1, as_percent=True)
    title = f"{words(tier['role'])} keeps {value}, {below}"
    return join(
        interval_track(interval, scale, title, series, reference=1.0), value_over(value, below)
    )


def _cost(tier: Mapping[str, Any], most: Mapping[str, float]) -> list[Child]:
    latency = tier["latency_ms"]
    weights, speed = parameters(tier["parameters"]), rate(tier["pairs_per_second"])
    return [
        join(
            bar(tier["parameters"] / most["parameters"], f"{weights} weights", "neutral"),
            value_over(weights, size(tier["bytes"])),
        ),
        join(
            bar(tier["pairs_per_second"] / most["pairs_per_second"], f"{speed} pairs/s", "neutral"),
            value_over(speed, ""),
        ),
        value_over(milliseconds(latency["p50"]), milliseconds(latency["p99"])),
    ]
