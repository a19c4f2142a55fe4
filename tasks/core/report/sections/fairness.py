"""Fairness by group: before training, in every model, and after mitigation."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.report.blocks import facts, not_measured, panel, section, side_by_side
from tasks.core.report.interval_rows import Row, interval_rows
from tasks.core.report.markup import Child, Html, element
from tasks.core.report.quantities import count, decimal, lower_words, span, words
from tasks.core.report.schema import Report
from tasks.core.report.tables import Column, table

SMALL_GROUP_ROWS = 100
SIGNIFICANT = 0.05
_TERMS = {
    "Group": "members or documents that share a property; no model and no prompt sees it.",
    "Difference": "the measure in the first group less that in the second; 0 is no difference.",
    "p": "how often chance alone would give a difference as large.",
    "Small group": f"under {SMALL_GROUP_ROWS} rows: too few to tell a difference from chance.",
    "Mitigation": "a change of the scores that narrows a gap, and what it costs.",
}


def fairness(report: Report) -> Html:
    """Differences between groups with intervals, small groups by name, and the mitigation."""
    found, dataset = report["fairness"], report.get("dataset_fairness")
    if found is None:
        missing = not_measured(report, "fairness", "group")
        return section("fairness", "Fairness by group", missing, _dataset(dataset))
    return section(
        "fairness",
        "Fairness by group",
        _finding(found["metrics"]),
        _small_groups(found["groups"]),
        *_tiers(found["metrics"]),
        side_by_side(
            panel("Rows per group", _groups(found["groups"])) if found["groups"] else None,
            panel("Mitigation", facts(_mitigation(found["mitigation"])))
            if found["mitigation"]
            else None,
            _dataset(dataset),
        ),
        terms=_TERMS,
    )


def _finding(metrics: Sequence[Mapping[str, Any]]) -> str:
    tested = [metric for metric in metrics if metric["p_value"] is not None]
    if not tested:
        return "No difference between groups was tested."
    below = sum(metric["p_value"] < SIGNIFICANT for metric in tested)
    return (
        f"{below} of {len(tested)} comparisons have p below {SIGNIFICANT}; "
        f"chance alone would give about {SIGNIFICANT * len(tested):.1f}."
    )


def _small_groups(groups: Mapping[str, int]) -> Html | None:
    small = [f"{name} ({count(n)} rows)" for name, n in groups.items() if n < SMALL_GROUP_ROWS]
    if not small:
        return None
    return element(
        "p", element("b", "Too small to judge: "), ", ".join(small), ".", class_="warning"
    )


def _tiers(metrics: Sequence[Mapping[str, Any]]) -> list[Html]:
    """The served model's differences in full view; the other models' behind a line to open."""
    tiers = list(dict.fromkeys(metric["tier"] for metric in metrics))[::-1]
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
    return element("div", *parts, class_="charts")


def _row(metric: Mapping[str, Any]) -> Row:
    p_value = metric["p_value"]
    note = "" if p_value is None else f"p = {decimal(p_value)}"
    differs = p_value is not None and p_value < SIGNIFICANT
    return Row(pair_name(metric["group_pair"]), metric, "clicks" if differs else "relevance", note)


def pair_name(pair: Any) -> str:
    """The two groups of a comparison, given as text or as a list of two."""
    return pair if isinstance(pair, str) else " against ".join(map(str, pair))


def _groups(groups: Mapping[str, int]) -> Html:
    rows = [
        [name, count(n), "too small to judge" if n < SMALL_GROUP_ROWS else ""]
        for name, n in groups.items()
    ]
    columns = [Column("Group"), Column("Rows", number=True), Column("Note")]
    return table("Rows that the measures rest on.", columns, rows)


def _mitigation(found: Mapping[str, Any]) -> list[tuple[str, Child]]:
    return [(words(str(name)), _plain(value)) for name, value in found.items()]


def _plain(value: Any) -> str:
    """A value of free form: a number, an interval, a list or words."""
    if isinstance(value, Mapping) and "value" in value:
        bounds = span(value.get("low"), value.get("high"))
        return decimal(value["value"]) + (f" ({bounds})" if bounds else "")
    if isinstance(value, Mapping):
        return ", ".join(f"{lower_words(str(key))} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    if isinstance(value, float):
        return decimal(value)
    return "not measured" if value is None else words(str(value))


def _dataset(found: Sequence[Mapping[str, Any]] | None) -> Html | None:
    if not found:
        return None
    rows = [[words(m["name"]), pair_name(m["group_pair"]), decimal(m["value"])] for m in found]
    columns = [Column("Measure"), Column("Groups"), Column("Value", number=True)]
    return panel(
        "In the data, before any training",
        table("Differences that labels and clicks already carry.", columns, rows),
    )
