"""The strip of numbers under the verdict."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tasks.core.report.markup import Html, element
from tasks.core.report.quantities import (
    NOT_MEASURED,
    TIMES,
    count,
    decimal,
    duration,
    lower_words,
    money,
    parameters,
    percent,
    rate,
    span,
)
from tasks.core.report.roles import served_tier, tier_of
from tasks.core.report.schema import Report


class _Tile(NamedTuple):
    name: str
    value: str
    context: str


def key_numbers(report: Report) -> Html:
    """Eight numbers with a line of context each, about the model that is up for promotion."""
    tier = served_tier(report)
    tiles = [
        *(_quality(tier) if tier else [_Tile("Ranking quality", NOT_MEASURED, "no model")]),
        _judge(report),
        *(_size(tier, tier_of(report, "policy_teacher")) if tier else []),
        *_cost(report),
    ]
    return element("dl", *map(_tile, tiles), class_="tiles", aria_label="Key numbers")


def _tile(tile: _Tile) -> Html:
    class_ = "absent" if tile.value == NOT_MEASURED else None
    value = element("b", tile.value, class_=class_)
    return element(
        "div",
        element("dt", tile.name),
        element("dd", value, element("small", tile.context)),
        class_="tile",
    )


def _quality(tier: Mapping[str, Any]) -> Iterator[_Tile]:
    golden, kept, role = tier["golden"], tier["kept"], lower_words(tier["role"])
    bounds = span(golden["low"], golden["high"])
    yield _Tile("Ranking quality, NDCG@10", decimal(golden["ndcg_at_10"]), f"{bounds}, {role}")
    ndcg = kept["ndcg_at_10"]
    yield _Tile(
        "Kept of the policy teacher",
        percent(ndcg and ndcg["value"]),
        span(ndcg["low"], ndcg["high"], 1, as_percent=True) if ndcg else "no teacher measured",
    )
    clicked = (tier["clicks"] or {}).get("clicked")
    clicks_kept = kept["click_auc"]
    of_teacher = f", {percent(clicks_kept['value'])} of the teacher" if clicks_kept else ""
    yield _Tile(
        "Click prediction, AUC",
        decimal(clicked and clicked["value"]),
        span(clicked["low"], clicked["high"]) + of_teacher if clicked else "0.5 would be chance",
    )


def _judge(report: Report) -> _Tile:
    judge = report["judge"]
    human = judge["human_kappa"]
    context = "people not measured" if human is None else f"{decimal(human, 2)} between people"
    return _Tile(
        "Judge's agreement, kappa", decimal(judge["kappa"] and judge["kappa"]["value"], 2), context
    )


def _size(tier: Mapping[str, Any], teacher: Mapping[str, Any] | None) -> Iterator[_Tile]:
    smaller = faster = "no teacher to compare with"
    if teacher is not None:
        shrink = teacher["parameters"] / tier["parameters"]
        speedup = tier["pairs_per_second"] / teacher["pairs_per_second"]
        smaller = f"{shrink:.1f}{TIMES} smaller than the teacher"
        faster = f"{speedup:.1f}{TIMES} the teacher's speed"
    yield _Tile("Size, weights", parameters(tier["parameters"]), smaller)
    yield _Tile("Speed, pairs per second", rate(tier["pairs_per_second"]), faster)


def _cost(report: Report) -> Iterator[_Tile]:
    labels, seconds = report["labels"], report["seconds_by_step"]
    yield _Tile(
        "Money", money(labels["spent_usd"]), f"{count(labels['billed_calls'])} billed calls"
    )
    yield _Tile("Time", duration(sum(seconds.values())), f"{len(seconds)} stages")
