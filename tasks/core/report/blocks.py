"""The parts that every section of the page is made of."""

from collections.abc import Mapping, Sequence

from tasks.core.report.markup import Child, Html, element
from tasks.core.report.schema import Report


def section(
    slug: str, title: str, finding: Child, *content: Child, terms: Mapping[str, str] | None = None
) -> Html:
    """A section: heading, what was found in one sentence, the evidence, the terms explained."""
    explained = [
        element("div", element("dt", term), element("dd", meaning))
        for term, meaning in (terms or {}).items()
    ]
    return element(
        "section",
        element("header", element("h2", title, id=slug), element("p", finding, class_="finding")),
        element("div", *content, class_="content"),
        element("dl", *explained, class_="terms") if explained else None,
        aria_labelledby=slug,
    )


def not_measured(report: Report, *steps: str) -> Html:
    """Says that something is missing, with the reason that ``skipped`` gives for such a step."""
    reason = next(
        (
            entry["reason"]
            for entry in report["skipped"]
            if any(step in entry["step"] for step in steps)
        ),
        "",
    )
    return element("span", "Not measured. ", reason, class_="missing")


def facts(entries: Sequence[tuple[str, Child]]) -> Html:
    """Short facts side by side: a small name above each value."""
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in entries),
        class_="facts",
    )


def value_over(value: str, below: str) -> Html:
    """A value with something smaller under it, mostly its interval."""
    return element(
        "span",
        element("span", value, class_="value"),
        element("small", below) if below else None,
        class_="over",
    )


def panel(title: str, *content: Child, note: str = "") -> Html:
    """A titled box for one figure or table."""
    return element(
        "figure",
        element("figcaption", title),
        *content,
        element("p", note, class_="note") if note else None,
        class_="panel",
    )


def side_by_side(*panels: Child) -> Html:
    """Panels in a row where the screen is wide enough, one under the other where not."""
    return element("div", *panels, class_="side-by-side")
