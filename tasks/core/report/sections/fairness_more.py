"""Fairness beyond single models: gaps that grew, counterfactual twins, the price of mending."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.report.blocks import panel
from tasks.core.report.interval_rows import Row, interval_rows
from tasks.core.report.markup import Html, element
from tasks.core.report.quantities import count, decimal, lower_words, percent, signed, span, words
from tasks.core.report.tables import Column, table

SIGNIFICANT = 0.05
# A share of twins scored exactly alike from which the scorer seems not to see the difference.
UNSEEN = 0.5


def ladder(growth: Sequence[Mapping[str, Any]] | None) -> Html | None:
    """The gaps that a model widened beyond chance against the one it learned from."""
    if not growth:
        return None
    grown = [one for one in growth if one["wider"] and one["p_value"] < SIGNIFICANT]
    sentence = (
        f"{len(grown)} of {len(growth)} gaps grew beyond chance from a model to the one that "
        f"learned from it."
    )
    if not grown:
        return panel("Across the ladder", sentence)
    rows = [
        [
            words(one["tier"]),
            lower_words(one["teacher"]),
            f"{lower_words(one['name'])}, {one['group_pair']}",
            signed(one["teacher_gap"]),
            signed(one["tier_gap"]),
            f"{signed(one['change'])} ({span(one['low'], one['high'])})",
        ]
        for one in sorted(grown, key=lambda one: -abs(one["change"]))
    ]
    columns = [
        Column("Model"),
        Column("Learned from"),
        Column("Gap"),
        Column("There", number=True),
        Column("Here", number=True),
        Column("Change", number=True),
    ]
    return panel("Across the ladder", sentence, table("Gaps that grew.", columns, rows))


def twins(found: Mapping[str, Any] | None) -> Html | None:
    """Mean difference of score between twins, by contrast and model."""
    if not found:
        return None
    gaps = [one for one in found["metrics"] if one["name"] == "twin_gap"]
    rows = [
        Row(
            f"{words(one['tier'])}, {one['group_pair']}",
            one,
            "differs" if (one["p_value"] or 1.0) < SIGNIFICANT else "relevance",
            "" if one["p_value"] is None else f"p = {decimal(one['p_value'])}",
        )
        for one in gaps
        if one["value"] is not None
    ]
    blind = [tier for tier, share in found["unseen"].items() if share >= UNSEEN]
    note = "; ".join(
        f"{words(tier)} scores {percent(found['unseen'][tier], 0)} of the twins exactly alike, as "
        "if it did not read the difference"
        for tier in blind
    )
    return panel(
        "Twins",
        f"{count(found['pairs'])} golden pairs, told with one thing changed; relevance of the "
        "first twin less that of the second.",
        element("p", note, ".", class_="warning") if note else None,
        interval_rows("Difference of relevance", rows, reference=0.0),
    )


def mitigation_title(found: Mapping[str, Any]) -> str:
    """Whether the model serves mended values, and between whose groups."""
    applied = found["applied"]
    if not applied:
        return "Mitigation, not applied"
    return f"Mitigation, applied to {applied['attribute']} at dial {decimal(applied['dial'])}"


def mitigation_table(found: Mapping[str, Any]) -> Html:
    """Distances between groups before and after, and what each dial costs."""
    rows = [
        [
            one["attribute"],
            decimal(dial["dial"]),
            _distances(one["positive_distance_before"]),
            _distances(dial["positive_distance"]),
            _change(dial["ndcg_at_10_change"]),
            _change(dial["click_auc_change"]),
        ]
        for one in found["attributes"]
        for dial in one["dials"]
    ]
    columns = [
        Column("Groups"),
        Column("Dial", number=True),
        Column("Largest distance", number=True),
        Column("After", number=True),
        Column("NDCG@10", number=True),
        Column("Click AUC", number=True),
    ]
    caption = (
        f"{words(found['method'])}, fitted on {count(found['clicks_fitted'])} clicks that the "
        f"report does not use. Distance of clicked documents in {found['score']}, squared."
    )
    return table(caption, columns, rows)


def _distances(found: Mapping[str, float]) -> str:
    return f"{max(found.values(), default=0.0):.5f}"


def _change(change: Mapping[str, Any]) -> str:
    return f"{signed(change['value'])} ({span(change['low'], change['high'])})"
