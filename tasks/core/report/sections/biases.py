"""What moves the judge's and each tier's relevance and should not."""

from collections.abc import Mapping
from typing import Any

from tasks.core.report.blocks import not_measured, section, value_over
from tasks.core.report.markup import Child, Html, element
from tasks.core.report.quantities import lower_words, percent, signed, span, words
from tasks.core.report.schema import Report
from tasks.core.report.tables import Column, table

_JUDGE = "judge"
_TERMS = {
    "Shift": "relevance of the edited candidate less that of the original, which is as good; with "
    "its 95% interval. Zero is no bias. Both inputs hold equally much of the pair.",
    "Keeps, shrinks, grows": "the size of the shift beside the reference's, beyond chance. The "
    "reference is the judge, who taught them all, or the policy teacher where the judge was not "
    "asked about edited candidates or answered about none; not compared where no candidate has "
    "the shift of both.",
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
    return section(
        "biases",
        "Biases taken over",
        _finding(found) + _about_the_judge(found.get(_JUDGE, {})),
        table("Mean shift of relevance, from 0 to 1.", columns, rows),
        terms=_TERMS,
    )


def _place(role: str, report: Report) -> int:
    """The judge first, then tiers as they were taught, then what serves to compare."""
    order = [_JUDGE, *(tier["role"] for tier in report["tiers"])]
    return order.index(role) if role in order else len(order)


def _shift(one: Mapping[str, Any]) -> Child:
    """The shift by one bias with its interval, and what became of the judge's."""
    if one["value"] is None:
        return element("span", one["verdict"], class_="missing")
    return value_over(f"{signed(one['value'])} {one['verdict']}", span(one["low"], one["high"]))


def _finding(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The greatest shift of all; what was read is said of the models alone."""
    read = [one for role, tier in found.items() if role != _JUDGE for one in tier.values()]
    if all(one["value"] is None for one in read):
        return "Not measured: no model reads the edits, its max_tokens leave them no room."
    every = [one["value"] for tier in found.values() for one in tier.values()]
    greatest = max(abs(value) for value in every if value is not None)
    least = percent(min(one["read_share"] for one in read), 0)
    return (
        f"The greatest mean shift of relevance by an edit that changes no candidate's worth is "
        f"{greatest:.3f}. Every edit was read of at least {least} of the candidates."
    )


def _about_the_judge(own: Mapping[str, Any]) -> str:
    """Where it gave no answer, as where a provider's filter refuses texts that give orders."""
    silent = [lower_words(bias) for bias, one in own.items() if one["value"] is None]
    shares = [one["read_share"] for one in own.values() if one["value"] is not None]
    said = f" The judge answered about no candidate with: {', '.join(silent)}." if silent else ""
    if shares and min(shares) < 1:
        who = "Else it" if silent else "The judge"
        said += f" {who} answered about at least {percent(min(shares), 0)} of them."
    return said
