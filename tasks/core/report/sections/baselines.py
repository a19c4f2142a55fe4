"""The models beside simple ways to rank: is the training worth anything?"""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.core.report.blocks import not_measured, panel, section, side_by_side
from tasks.core.report.interval_rows import Row, interval_rows
from tasks.core.report.markup import Html
from tasks.core.report.quantities import Interval, decimal, lower_words, words
from tasks.core.report.roles import baseline_name, served_tier
from tasks.core.report.schema import Report

_TERMS = {
    "BM25": "the classic keyword match of search engines; it learns nothing.",
    "Embedding similarity": "the base model as it was downloaded, before any training here.",
    "Student of one teacher only": "what one goal alone gives; the mix should not lose to both.",
    "Click teacher begun otherwise": "an ablation, where the settings ask for it: from the base if "
    "the teacher itself begins as the policy teacher, and the other way round.",
    "Random order": "what a shuffled list gets: the distance from it is what counts.",
}


def baselines(report: Report) -> Html:
    """Two charts, NDCG@10 and click AUC: every model and every baseline, best first."""
    clicks = _best_first(_click_rows(report))
    return section(
        "baselines",
        "Against simple ways to rank",
        _finding(report),
        side_by_side(
            panel(
                "Ranking quality, NDCG@10",
                interval_rows("Models and baselines by NDCG@10", _best_first(_ndcg_rows(report))),
            ),
            panel(
                "Click prediction, AUC",
                interval_rows("Models and baselines by click AUC", clicks, reference=0.5)
                if clicks
                else not_measured(report, "click", "impression"),
            ),
        ),
        terms=_TERMS,
    )


def _finding(report: Report) -> str:
    tier, bm25 = served_tier(report), report["baselines"]["bm25"]
    measured = tier is not None and tier["golden"]["ndcg_at_10"] is not None
    if tier is None or not measured or bm25["ndcg_at_10"] is None:
        return "There is no model, or no BM25, to compare."
    golden, name = tier["golden"], lower_words(tier["role"])
    ahead = golden["ndcg_at_10"] > bm25["ndcg_at_10"]
    return (
        f"The {name}'s NDCG@10 of {decimal(golden['ndcg_at_10'])} is "
        f"{'above' if ahead else 'not above'} keyword matching's {decimal(bm25['ndcg_at_10'])}"
        f"{_overlap(golden, bm25)}."
    )


def _overlap(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    low, high = theirs.get("low"), theirs.get("high")
    if low is None or high is None:
        return ""
    apart = ours["low"] > high or ours["high"] < low
    return "; the intervals lie apart" if apart else "; the intervals overlap"


def _ndcg_rows(report: Report) -> Iterator[Row]:
    for tier in report["tiers"]:
        golden = tier["golden"]
        if golden["ndcg_at_10"] is None:
            continue
        yield Row(words(tier["role"]), golden | {"value": golden["ndcg_at_10"]}, "relevance")
    for name, baseline in report["baselines"].items():
        if baseline["ndcg_at_10"] is not None:
            yield Row(baseline_name(name), baseline | {"value": baseline["ndcg_at_10"]}, "neutral")


def _click_rows(report: Report) -> Iterator[Row]:
    for tier in report["tiers"]:
        clicked: Interval | None = (tier["clicks"] or {}).get("clicked")
        if clicked is not None:
            yield Row(words(tier["role"]), clicked, "clicks")
    for name, baseline in report["baselines"].items():
        if baseline["click_auc"] is not None:
            yield Row(baseline_name(name), {"value": baseline["click_auc"]}, "neutral")


def _best_first(rows: Iterator[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.interval["value"])
