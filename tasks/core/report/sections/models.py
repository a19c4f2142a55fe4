"""Every model from the teachers down: quality kept against size and speed."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.report.blocks import panel, section, side_by_side, value_over
from tasks.core.report.markup import Html, element
from tasks.core.report.quantities import decimal, lower_words, percent, span, words
from tasks.core.report.roles import served_tier, tier_of
from tasks.core.report.schema import Report
from tasks.core.report.sections.kept_figure import kept_figure
from tasks.core.report.sections.tier_table import tier_table
from tasks.core.report.tables import Column, table

_TERMS = {
    "NDCG@10": "how good the first ten results are; 1 is the best order possible. Measured on "
    "golden queries that no model and no prompt has seen.",
    "Kept": "the model's quality divided by its teacher's; 100% loses nothing.",
    "Chance-corrected": "the same after taking away what a random order would get.",
    "Kappa": "agreement with people's grades; 0 is chance, 1 is perfect.",
    "Click AUC": "how often a clicked result scores above one that was not; 0.5 is chance.",
    "MRR": "one divided by the place of the first relevant result, on average: 1 is always first.",
    "Precision@10": "the share of relevant results among the first ten. Relevant is the upper half "
    "of the grades.",
    "95% interval": "where the value would lie in 95 of 100 repeats with other queries or members.",
    "p50, p99": "half of the requests, and 99 of 100, are answered within this time.",
}


def models(report: Report) -> Html:
    """The tier table and two figures of the quality kept: against weights and against speed."""
    tiers = report["tiers"]
    if not tiers:
        return section("models", "Models", "No model was trained in this run.")
    return section(
        "models",
        "Models: quality kept against size and speed",
        _finding(report),
        tier_table(tiers),
        _figures(tiers),
        _first_hits(tiers),
        _actions(tiers),
        terms=_TERMS,
    )


def _finding(report: Report) -> str:
    tier, teacher = served_tier(report), tier_of(report, "policy_teacher")
    if tier is None or teacher is None or tier["kept"]["ndcg_at_10"] is None:
        return "No teacher was measured to compare the smaller models with."
    kept = tier["kept"]["ndcg_at_10"]
    return (
        f"The {lower_words(tier['role'])} keeps {percent(kept['value'])} of the policy teacher's "
        f"ranking quality with {percent(tier['parameters'] / teacher['parameters'], 0)} of its "
        f"weights, at {tier['pairs_per_second'] / teacher['pairs_per_second']:.1f} times its speed."
    )


def _figures(tiers: Sequence[Mapping[str, Any]]) -> Html | None:
    if all(not any(tier["kept"].values()) for tier in tiers):
        return None
    return side_by_side(
        panel("Quality kept, by number of weights", kept_figure(tiers, "parameters")),
        panel("Quality kept, by speed", kept_figure(tiers, "pairs_per_second")),
    )


def _first_hits(tiers: Sequence[Mapping[str, Any]]) -> Html | None:
    """Where relevant results stand; nothing for a report of a version that did not measure it."""
    if not all("mrr" in tier["golden"] for tier in tiers):
        return None
    columns = [Column("Model"), Column("MRR", number=True), Column("Precision@10", number=True)]
    rows = [
        [
            words(tier["role"]),
            *(decimal(tier["golden"][name]) for name in ("mrr", "precision_at_10")),
        ]
        for tier in tiers
    ]
    return table("Where relevant results stand, by model.", columns, rows, compact=True)


def _actions(tiers: Sequence[Mapping[str, Any]]) -> Html | None:
    actions = sorted({action for tier in tiers for action in tier["clicks"] or {}} - {"clicked"})
    if not actions:
        return None
    columns = [Column("Model")]
    for action in actions:
        columns += [Column(f"AUC, {action}", number=True), Column("Kept", number=True)]
    rows = [
        [words(tier["role"]), *(cell for action in actions for cell in _action(tier, action))]
        for tier in tiers
        if tier["clicks"]
    ]
    caption = (
        "The rarer actions, by model, with 95% intervals. Kept: share of the click teacher's AUC."
    )
    return table(caption, columns, rows, compact=True)


def _action(tier: Mapping[str, Any], action: str) -> list[Html]:
    """AUC and the share kept, which earlier versions did not measure."""
    auc = tier["clicks"].get(action)
    kept = tier.get("kept_actions", {}).get(action)
    missing = element("span", "not measured", class_="missing")
    return [
        value_over(decimal(auc["value"]), span(auc["low"], auc["high"])) if auc else missing,
        value_over(percent(kept["value"]), span(kept["low"], kept["high"], 1, as_percent=True))
        if kept
        else missing,
    ]
