"""What moves the judge's and each tier's relevance and should not."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.report.blocks import not_measured, section, value_over
from tasks.core.report.markup import Child, Html, element
from tasks.core.report.quantities import percent, signed, span, words
from tasks.core.report.schema import Report
from tasks.core.report.tables import Column, table

_TERMS = {
    "Shift": "relevance of the edited candidate less that of the original, which is as good; with "
    "its 95% interval. Zero is no bias. Both inputs hold equally much of the pair.",
    "Keeps, shrinks, grows": "the size of the shift beside the reference's, beyond chance. The "
    "reference is the judge, who taught them all, or the policy teacher where the judge was not "
    "asked about edited candidates.",
}


def biases(report: Report) -> Html:
    """A row for the judge and each tier, a column a bias."""
    found = report.get("biases")
    if not found:
        return section("biases", "Biases taken over", not_measured(report, "biases", "bias"))
    names = list(next(iter(found.values())))
    columns = [Column("Who"), *(Column(words(name), number=True) for name in names)]
    rows = [
        [
            words(role),
            *(_shift(one[name]) for name in names),
        ]
        for role, one in sorted(found.items(), key=lambda item: _place(item[0], report))
    ]
    every = [one for tier in found.values() for one in tier.values()]
    return section(
        "biases",
        "Biases taken over",
        _finding(every),
        table("Mean shift of relevance, from 0 to 1.", columns, rows),
        terms=_TERMS,
    )


def _place(role: str, report: Report) -> int:
    """The judge first, then tiers as they were taught, then what serves to compare."""
    order = ["judge", *(tier["role"] for tier in report["tiers"])]
    return order.index(role) if role in order else len(order)


def _shift(one: Mapping[str, Any]) -> Child:
    """The shift by one bias with its interval, and what became of the judge's."""
    if one["value"] is None:
        return element("span", one["verdict"], class_="missing")
    return value_over(f"{signed(one['value'])} {one['verdict']}", span(one["low"], one["high"]))


def _finding(every: Sequence[Mapping[str, Any]]) -> str:
    sizes = [abs(one["value"]) for one in every if one["value"] is not None]
    read = percent(min(one["read_share"] for one in every), 0)
    if not sizes:
        return "Not measured: no model reads the edits, its max_tokens leave them no room."
    return (
        f"The greatest mean shift of relevance by an edit that changes no candidate's worth is "
        f"{max(sizes):.3f}. Every edit was read of at least {read} of the candidates."
    )
