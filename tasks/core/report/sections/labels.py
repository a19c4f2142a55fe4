"""What was labeled: the policy, the pairs and where they came from."""

from tasks.core.report.bar_rows import bar_rows
from tasks.core.report.blocks import facts, panel, section, side_by_side
from tasks.core.report.label_lines import label_lines
from tasks.core.report.markup import Child, Html, element
from tasks.core.report.quantities import count, money, words
from tasks.core.report.schema import Report

_TERMS = {
    "Policy": "the document that says what a good match is.",
    "Pair": "a query with one document (and a member, where there is one).",
    "Quarantined": "pairs set aside because the judge gave no usable grade.",
    "Billed call": "a request to a judge that is not the one built in.",
    "Reused": "labels taken from earlier runs; never asked for, nor paid for, again.",
    "Possibly billed": "requests cut off before their answer came: they may be on the bill.",
}
_SOURCES = {
    "retrieved": "Retrieved: found by search",
    "hard_negative": "Hard negatives: close, but wrong",
    "generated_query": "Queries written from documents",
}
_NAMES = {
    "labelled": "Labeled",
    "calls": "Calls to the judge",
    "spent_usd": "Spent",
    "people_grades": "Grades by people that taught too",
}


def labels(report: Report) -> Html:
    """Counts of policy, pairs and labels, what they cost, and the sources of the pairs."""
    made, sources = report["labels"], report.get("sources")
    return section(
        "labels",
        "Policy, pairs and labels",
        f"{count(made['labelled'])} of {count(made['pairs'])} pairs carry a label: "
        f"{count(made['reused'])} reused, {count(made['billed_calls'])} calls billed, "
        f"{money(made['spent_usd'])} spent.",
        facts(_policy(report)),
        side_by_side(
            panel("Labels and money", facts(_counts(report))),
            panel(
                "Where the pairs came from",
                bar_rows(
                    "Pairs by source",
                    [(_SOURCES.get(name, words(name)), number) for name, number in sources.items()],
                    count,
                ),
            )
            if sources
            else None,
        ),
        _story(report),
        terms=_TERMS,
    )


def _story(report: Report) -> Html | None:
    """Edits of the policy, judges, what is not exercised and what was sent, in sentences."""
    lines = label_lines(report.get("labeling") or {})
    if not lines:
        return None
    return panel("How they came about", element("ul", *(element("li", one) for one in lines)))


def _policy(report: Report) -> list[tuple[str, Child]]:
    policy = report.get("policy") or {}
    entries: list[tuple[str, Child]] = [
        ("Policy", policy.get("name", report["domain"])),
        ("Version", policy.get("version", report["policy_version"])),
    ]
    return entries + [
        (words(key), count(policy[key]))
        for key in ("dimensions", "clauses", "precedents")
        if key in policy
    ]


def _counts(report: Report) -> list[tuple[str, Child]]:
    return [
        (_NAMES.get(key, words(key)), money(value) if key.endswith("_usd") else count(value))
        for key, value in report["labels"].items()
    ]
