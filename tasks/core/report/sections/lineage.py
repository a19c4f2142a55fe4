"""Lineage: which step's output rests on which."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.report.blocks import not_measured, panel, section
from tasks.core.report.markup import Child, Html, element
from tasks.core.report.quantities import count, duration, words
from tasks.core.report.schema import Report
from tasks.core.report.sections.lineage_figure import lineage_figure
from tasks.core.report.tables import Column, table

_TERMS = {
    "Digest": "the fingerprint of an output: same settings, inputs and code, same digest.",
    "Reused": "found finished from an earlier run, and not made again.",
    "Outside input": "what the run read but did not make: policy, golden data, base model.",
}
_NOTE = (
    "An arrow leads from an output to the step that reads it; arrows that a longer way implies are "
    "left out. Dashed boxes: reused."
)


def lineage(report: Report) -> Html:
    """The steps as a diagram, and each with its digest, inputs, counts and time."""
    steps = report.get("lineage")
    if not steps:
        return section("lineage", "Lineage", not_measured(report, "lineage"))
    reused = sum(bool(step["reused"]) for step in steps)
    scrolled = element(
        "div",
        lineage_figure(steps),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label="Lineage diagram",
    )
    return section(
        "lineage",
        "Lineage: what was made from what",
        f"{len(steps)} outputs, {reused} of them reused from earlier runs.",
        panel("From the inputs above to the decision below", scrolled, note=_NOTE),
        _numbers(steps),
        terms=_TERMS,
    )


def _numbers(steps: Sequence[Mapping[str, Any]]) -> Html:
    names = {step["digest"]: words(step["step"]) for step in steps}
    rows: list[list[Child]] = [
        [
            words(step["step"]),
            element("code", step["digest"][:12]),
            _inputs(step["inputs"], names),
            ", ".join(f"{count(n)} {name.replace('_', ' ')}" for name, n in step["counts"].items()),
            "reused" if step["reused"] else duration(step["seconds"]),
        ]
        for step in steps
    ]
    columns = [
        Column("Step"),
        Column("Digest"),
        Column("Reads"),
        Column("Holds"),
        Column("Time", number=True),
    ]
    return table("Every output of the run.", columns, rows)


def _inputs(digests: Sequence[str], names: Mapping[str, str]) -> str:
    known = [names[digest] for digest in digests if digest in names]
    outside = len(digests) - len(known)
    more = [f"{outside} outside input{'s' if outside > 1 else ''}"] if outside else []
    return ", ".join(known + more)
