"""Relevance against clicks: what each mix of the two teachers gives."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.report.blocks import not_measured, panel, section, side_by_side, value_over
from tasks.core.report.markup import Html, element
from tasks.core.report.quantities import Interval, decimal, percent, span
from tasks.core.report.schema import Report
from tasks.core.report.sections.front_figure import front_figure, mix_name
from tasks.core.report.tables import Column, table

# Values seen on fewer pairs are left out: their shares are noise.
_LEAST_PAIRS = 50
# Of clauses, of query kinds and so on: else the many clauses would crowd out the few groups.
_MOST_DISPUTED_OF_EACH = 3
_TERMS = {
    "Alpha": "the share of the relevance goal in the mix: 1 is relevance alone, 0 clicks alone.",
    "Front": "right is more relevant, up is better at clicks. The line joins the mixes that no "
    "other beats at both; along it, one is bought with the other.",
    "Opposite order": "of the other candidates of the same query, the share that the two teachers "
    "put on different sides of this one.",
    "Query kind": "the fields of documents that a query names, and whether its title is in the "
    "profile of who asks (existing) or not (aspirational): a guess by words.",
    "Pair source": "where a pair came from: retrieved, a hard negative, a generated query, graded "
    "by people, or only shown.",
    "Agreement, vote": "rules for candidates on which teachers disagree: they weigh less, or the "
    "teachers that the majority outvotes are left out.",
    "Chosen": "the mix that the served student was trained with.",
}


def tradeoff(report: Report) -> Html:
    """The front of relevance and clicks over alpha, with the chosen mix and the single teachers."""
    mixes = sorted(report["tradeoff"], key=lambda mix: float(mix["alpha"]))
    drawn = [mix for mix in mixes if mix["ndcg_at_10"] and mix["click_auc"]]
    if not drawn:
        missing = not_measured(report, "tradeoff", "click", "impression")
        return section("tradeoff", "Relevance against clicks", missing)
    return section(
        "tradeoff",
        "Relevance against clicks",
        _finding(drawn),
        side_by_side(
            panel("What each mix gives", front_figure(drawn, report["baselines"])),
            panel("The same in numbers", _numbers(mixes)),
        ),
        _conflicts(report.get("conflicts")),
        terms=_TERMS,
    )


def _finding(mixes: Sequence[Mapping[str, Any]]) -> str:
    chosen = next((mix for mix in mixes if mix.get("chosen")), None)
    if chosen is None:
        return "No mix was chosen."
    ndcg, clicks = (
        max(mix[goal]["value"] for mix in mixes) - chosen[goal]["value"]
        for goal in ("ndcg_at_10", "click_auc")
    )
    return (
        f"The chosen mix, alpha {mix_name(chosen)}, gives up {decimal(ndcg)} NDCG@10 against the "
        f"most relevant mix and {decimal(clicks)} AUC against the best one at clicks."
    )


def _numbers(mixes: Sequence[Mapping[str, Any]]) -> Html:
    rows = [
        [
            f"{mix_name(mix)}{_standing(mix)}",
            _interval(mix["ndcg_at_10"]),
            _interval(mix["click_auc"]),
        ]
        for mix in mixes
    ]
    columns = [Column("Alpha"), Column("NDCG@10", number=True), Column("Click AUC", number=True)]
    return table("By alpha, with 95% intervals.", columns, rows)


def _standing(mix: Mapping[str, Any]) -> str:
    said = [
        name for key, name in (("chosen", "chosen"), ("on_front", "on the front")) if mix.get(key)
    ]
    return f" ({', '.join(said)})" if said else ""


def _conflicts(conflicts: Mapping[str, Any] | None) -> Html | None:
    """Where the two teachers order a query's candidates oppositely: the most disputed values."""
    if not conflicts or conflicts["disagreement"] is None:
        return None
    rows = [
        [f"{one['by']}: {one['value']}", percent(one["disagreement"]), f"{one['pairs']:,}"]
        for one in _most_disputed(conflicts["by"])
    ]
    columns = [Column("Where"), Column("Opposite order", number=True), Column("Pairs", number=True)]
    title = f"Where the teachers disagree: {percent(conflicts['disagreement'])} of all candidates"
    return panel(
        title,
        table("Policy against clicks, the most disputed of each sort first.", columns, rows),
        _every_two(conflicts.get("between", ())),
    )


def _most_disputed(by: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first few clauses, query kinds, sources and groups, all of them in one order."""
    often = [one for one in by if one["pairs"] >= _LEAST_PAIRS]
    shown: Counter[str] = Counter()
    found = []
    for one in sorted(often, key=lambda one: -float(one["disagreement"])):
        # All groups are one sort, whatever attribute they are of.
        sort = "group" if one["by"].startswith("group ") else one["by"]
        shown[sort] += 1
        if shown[sort] <= _MOST_DISPUTED_OF_EACH:
            found.append(one)
    return found


def _every_two(between: Sequence[Mapping[str, Any]]) -> Html | None:
    """Every two teachers, those furthest apart first; nothing where there are only two."""
    measured = [one for one in between if one["disagreement"] is not None]
    if len(measured) < 2:
        return None
    rows = [
        [" and ".join(one["teachers"]), percent(one["disagreement"]), f"{one['pairs']:,}"]
        for one in sorted(measured, key=lambda one: -float(one["disagreement"]))
    ]
    columns = [Column("Teachers"), Column("Opposite order", number=True)]
    return table("Every two teachers.", [*columns, Column("Pairs", number=True)], rows)


def _interval(interval: Interval | None) -> Html:
    if interval is None:
        return element("span", "not measured", class_="missing")
    return value_over(decimal(interval["value"]), span(interval["low"], interval["high"]))
