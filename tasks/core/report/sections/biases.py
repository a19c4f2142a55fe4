"""What moves each tier's relevance and should not."""

from tasks.core.report.blocks import not_measured, section, value_over
from tasks.core.report.markup import Html
from tasks.core.report.quantities import signed, span, words
from tasks.core.report.schema import Report
from tasks.core.report.tables import Column, table

_TERMS = {
    "Shift": "relevance of the edited candidate less that of the original, which is as good; with "
    "its 95% interval. Zero is no bias.",
    "Keeps, shrinks, grows": "the size of the shift beside the policy teacher's, which learned "
    "from the judge, beyond chance.",
}


def biases(report: Report) -> Html:
    """A row a tier, a column a bias."""
    found = report.get("biases")
    if not found:
        return section("biases", "Biases taken over", not_measured(report, "biases", "bias"))
    names = list(next(iter(found.values())))
    columns = [Column("Tier"), *(Column(words(name), number=True) for name in names)]
    rows = [
        [
            words(role),
            *(
                value_over(
                    f"{signed(one[name]['value'])} {one[name]['verdict']}",
                    span(one[name]["low"], one[name]["high"]),
                )
                for name in names
            ),
        ]
        for role, one in found.items()
    ]
    worst = max(abs(one["value"]) for tier in found.values() for one in tier.values())
    return section(
        "biases",
        "Biases taken over",
        f"The greatest mean shift of relevance by an edit that changes no candidate's worth is "
        f"{worst:.3f}.",
        table("Mean shift of relevance, from 0 to 1.", columns, rows),
        terms=_TERMS,
    )
