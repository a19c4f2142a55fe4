"""Fairness by group: before training, in every model, and after mitigation."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.report.blocks import not_measured, panel, section, side_by_side
from tasks.core.report.interval_rows import Row, interval_rows
from tasks.core.report.legend import legend
from tasks.core.report.markup import Html, element, join
from tasks.core.report.quantities import count, decimal, lower_words, words
from tasks.core.report.roles import served_tier
from tasks.core.report.schema import Report
from tasks.core.report.sections.fairness_more import (
    ladder,
    mitigation_table,
    mitigation_title,
    twins,
)
from tasks.core.report.tables import Column, table

SMALL_GROUP_ROWS = 100
SIGNIFICANT = 0.05
_KEY = {"relevance": "may be chance", "differs": f"p below {SIGNIFICANT}"}
_TERMS = {
    "Group": "members or documents that share a property; no model and no prompt sees it.",
    "Difference": "the measure in the first group less that in the second; 0 is no difference.",
    "p": "how often chance alone would give a difference as large, corrected for the number of "
    "comparisons.",
    "Small group": "too few rows, members or documents to tell a difference from chance.",
    "Mitigation": "a change of the scores that narrows a gap, and what it costs.",
    "Grown": "wider in a model than in the one it learned from, beyond chance.",
    "Twins": "one member told of twice, with another name, pronoun, school or gap in employment.",
}


def fairness(report: Report) -> Html:
    """Differences between groups with intervals, small groups by name, and the mitigation."""
    found, dataset = report["fairness"], report.get("dataset_fairness")
    if found is None:
        missing = not_measured(report, "fairness", "group")
        return section("fairness", "Fairness by group", missing, _dataset(dataset))
    small = _small(found)
    return section(
        "fairness",
        "Fairness by group",
        _finding(found["metrics"]),
        _small_groups(small),
        *_tiers(found["metrics"], served_tier(report)),
        _unmeasured(found["metrics"]),
        side_by_side(
            panel("Rows per group", _groups(found["groups"], small)) if found["groups"] else None,
            element(
                "div",
                panel(mitigation_title(found["mitigation"]), mitigation_table(found["mitigation"]))
                if found["mitigation"]
                else None,
                _dataset(dataset),
                class_="content",
            ),
        ),
        ladder(found.get("growth")),
        twins(found.get("twins")),
        terms=_TERMS,
    )


def _finding(metrics: Sequence[Mapping[str, Any]]) -> str:
    tested = [metric for metric in metrics if metric["p_value"] is not None]
    if not tested:
        return "No difference between groups was tested."
    below = sum(metric["p_value"] < SIGNIFICANT for metric in tested)
    return (
        f"{below} of {len(tested)} differences between groups are larger than chance explains "
        f"(p below {SIGNIFICANT})."
    )


def _small(found: Mapping[str, Any]) -> Mapping[str, int]:
    """The groups too small to compare: those that the measurement names, else by their rows."""
    rows = {name: n for name, n in found["groups"].items() if n < SMALL_GROUP_ROWS}
    return dict(found.get("small_groups", rows))


def _small_groups(small: Mapping[str, int]) -> Html | None:
    if not small:
        return None
    named = ", ".join(f"{name} ({count(n)})" for name, n in small.items())
    return element("p", element("b", "Too small to judge: "), named, ".", class_="warning")


def _tiers(metrics: Sequence[Mapping[str, Any]], served: Mapping[str, Any] | None) -> list[Html]:
    """The served model's differences in full view; the other models' behind a line to open."""
    measured = list(dict.fromkeys(metric["tier"] for metric in metrics))[::-1]
    tiers = sorted(measured, key=lambda tier: served is None or tier != served["role"])
    charts = [(tier, _chart([m for m in metrics if m["tier"] == tier])) for tier in tiers]
    return [
        panel(words(tier), chart)
        if number == 0
        else element("details", element("summary", f"{words(tier)}: the same measures"), chart)
        for number, (tier, chart) in enumerate(charts)
    ]


def _chart(metrics: Sequence[Mapping[str, Any]]) -> Html:
    names = list(dict.fromkeys(metric["name"] for metric in metrics))
    parts = [
        interval_rows(
            words(name),
            [_row(m) for m in metrics if m["name"] == name and m["value"] is not None],
            reference=0.0,
        )
        for name in names
    ]
    return join(element("div", *parts, class_="charts"), legend(_KEY))


def _row(metric: Mapping[str, Any]) -> Row:
    p_value = metric["p_value"]
    note = "" if p_value is None else f"p = {decimal(p_value)}"
    differs = p_value is not None and p_value < SIGNIFICANT
    return Row(pair_name(metric["group_pair"]), metric, "differs" if differs else "relevance", note)


def pair_name(pair: Any) -> str:
    """The two groups of a comparison, given as text or as a list of two."""
    return pair if isinstance(pair, str) else " against ".join(map(str, pair))


def _unmeasured(metrics: Sequence[Mapping[str, Any]]) -> Html | None:
    absent = [
        f"{lower_words(m['name'])} of {pair_name(m['group_pair'])} ({lower_words(m['tier'])})"
        for m in metrics
        if m["value"] is None
    ]
    if not absent:
        return None
    return element("p", "Not measured: ", "; ".join(absent), ".", class_="note")


def _groups(groups: Mapping[str, int], small: Mapping[str, int]) -> Html:
    rows = [
        [name, count(n), "too small to judge" if name in small else ""]
        for name, n in groups.items()
    ]
    columns = [Column("Group"), Column("Rows", number=True), Column("Note")]
    return table("Rows that the measures rest on.", columns, rows)


def _dataset(found: Sequence[Mapping[str, Any]] | None) -> Html | None:
    if not found:
        return None
    rows = [[words(m["name"]), pair_name(m["group_pair"]), decimal(m["value"])] for m in found]
    columns = [Column("Measure"), Column("Groups"), Column("Value", number=True)]
    return panel(
        "In the data, before any training",
        table("Differences that labels and clicks already carry.", columns, rows),
    )
