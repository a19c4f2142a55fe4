"""The strip of numbers under the verdict."""

from collections.abc import Iterator

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


def key_numbers(report: Report) -> Html:
    """Eight numbers with a line of context each, about the model that is up for promotion."""
    tiles = [
        element(
            "div",
            element("dt", name),
            element("dd", element("b", value), element("small", context)),
            class_="tile",
        )
        for name, value, context in (*_quality(report), *_size(report), *_cost(report))
    ]
    return element("dl", *tiles, class_="tiles", aria_label="Key numbers")


def _quality(report: Report) -> Iterator[tuple[str, str, str]]:
    tier = served_tier(report)
    if tier is None:
        yield "Ranking quality", NOT_MEASURED, "no model was trained"
    else:
        golden, kept, clicks = tier["golden"], tier["kept"], tier["clicks"] or {}
        yield (
            "Ranking quality, NDCG@10",
            decimal(golden["ndcg_at_10"]),
            f"{span(golden['low'], golden['high'])}, {lower_words(tier['role'])}",
        )
        for goal, name in (("ndcg_at_10", "policy"), ("click_auc", "click")):
            interval = kept.get(goal)
            if interval is not None:
                yield (
                    f"Kept of the {name} teacher",
                    percent(interval["value"]),
                    span(interval["low"], interval["high"], 1, as_percent=True),
                )
        clicked = clicks.get("clicked")
        yield (
            "Click prediction, AUC",
            decimal(clicked and clicked["value"]),
            span(clicked["low"], clicked["high"]) if clicked else "0.5 would be chance",
        )
    yield _judge(report)


def _judge(report: Report) -> tuple[str, str, str]:
    judge = report["judge"]
    human = judge["human_kappa"]
    context = "people not measured" if human is None else f"{decimal(human, 2)} between people"
    kappa = judge["kappa"] and judge["kappa"]["value"]
    return "Judge's agreement, kappa", decimal(kappa, 2), context


def _size(report: Report) -> Iterator[tuple[str, str, str]]:
    tier, teacher = served_tier(report), tier_of(report, "policy_teacher")
    if tier is None:
        return
    smaller = faster = "no teacher to compare with"
    if teacher is not None:
        smaller = (
            f"{teacher['parameters'] / tier['parameters']:.1f}{TIMES} smaller than the teacher"
        )
        faster = f"{tier['pairs_per_second'] / teacher['pairs_per_second']:.1f}{TIMES} the teacher's speed"
    yield "Size, weights", parameters(tier["parameters"]), smaller
    yield "Speed, pairs per second", rate(tier["pairs_per_second"]), faster


def _cost(report: Report) -> Iterator[tuple[str, str, str]]:
    labels = report["labels"]
    yield (
        "Money and time",
        money(labels["spent_usd"]),
        (
            f"{count(labels['billed_calls'])} billed calls; "
            f"{duration(sum(report['seconds_by_step'].values()))} of work"
        ),
    )
