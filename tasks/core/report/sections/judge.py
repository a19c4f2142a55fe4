"""The judge held against people: can its labels be trusted?"""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.report.blocks import facts, panel, section, side_by_side
from tasks.core.report.interval_rows import Row, interval_rows
from tasks.core.report.markup import Child, Html, element
from tasks.core.report.quantities import count, decimal, lower_words, percent, words
from tasks.core.report.schema import Report
from tasks.core.report.sections.judge_checks import check_facts, judge_checks

_TERMS = {
    "Judge": "the model that grades pairs in place of people.",
    "Kappa": "agreement beyond chance, where far misses weigh more: 0 is chance, 1 is perfect.",
    "Between people": "each rater against the median of the others: what a perfect judge could "
    "be expected to reach.",
    "Gate split": "golden pairs kept for decisions; the judge was not tuned on them.",
    "Floor": "below this kappa a run stops before it labels anything.",
    "Bias": "mean of judge less people; above 0 the judge is generous.",
    "Canaries": "golden pairs asked about again on each day of a run, to notice a changed model.",
}


def judge(report: Report) -> Html:
    """Kappa beside the human raters' kappa, and where judge and people differ, grade by grade."""
    found = report["judge"]
    return section(
        "judge",
        "The judge against people",
        _finding(found),
        facts(_facts(report)),
        side_by_side(
            panel("Agreement with people's grades", _kappas(report)),
            panel(
                "Where judge and people differ",
                confusion(found["by_grade"])
                if found["by_grade"]
                else element("p", "Not measured.", class_="missing"),
            ),
        ),
        judge_checks(found),
        terms=_TERMS,
    )


def confusion(by_grade: Sequence[Sequence[int]]) -> Html:
    """A heat map: a row per human grade, a column per judge's grade, shaded by share of its row."""
    head = [element("th", str(grade), scope="col") for grade in range(len(by_grade[0]))]
    rows = [
        element(
            "tr",
            element("th", str(grade), scope="row"),
            *(_cell(cell, sum(row), grade == column) for column, cell in enumerate(row)),
        )
        for grade, row in enumerate(by_grade)
    ]
    return element(
        "table",
        element(
            "caption",
            "Down: people's grade. Across: judge's grade. Counts of pairs; "
            "shade: share of the row; framed: the same grade.",
        ),
        element("thead", element("tr", element("th", "grade", scope="col"), *head)),
        element("tbody", *rows),
        class_="heat",
    )


def _cell(pairs: int, in_row: int, same: bool) -> Html:
    share = pairs / in_row if in_row else 0.0
    return element(
        "td",
        count(pairs),
        element("small", percent(share, 0)),
        class_="same" if same else None,
        style=f"--share:{share:.3f}",
    )


def _finding(found: Mapping[str, Any]) -> str:
    if found["kappa"] is None:
        return "The judge was not measured against people."
    text = f"Judge and people agree at kappa {decimal(found['kappa']['value'], 2)}"
    if found["human_kappa"] is None:
        return text + "; how far people agree among themselves was not measured."
    return text + f"; people among themselves at {decimal(found['human_kappa'], 2)}."


def _facts(report: Report) -> list[tuple[str, Child]]:
    found = report["judge"]
    entries: list[tuple[str, Child]] = [
        ("Judge", found["name"]),
        ("Kind", "LLM" if found["is_llm"] else "not an LLM"),
    ]
    if "passed" in found:
        entries.append(("Gate", "passed" if found["passed"] else "not passed"))
    if "human_rows" in found:
        entries.append(("Pairs with several raters", count(found["human_rows"])))
    if found["by_grade"]:
        entries += _agreement(found["by_grade"])
    if "sealed_reads" in found:
        entries.append(("Reads of the sealed split", count(found["sealed_reads"])))
    return entries + check_facts(found)


def _agreement(by_grade: Sequence[Sequence[int]]) -> list[tuple[str, Child]]:
    cells = [(abs(r - c), n) for r, row in enumerate(by_grade) for c, n in enumerate(row)]
    pairs = sum(n for _, n in cells)
    if not pairs:
        return []
    same, near = (sum(n for far, n in cells if far <= most) / pairs for most in (0, 1))
    return [("Same grade", percent(same, 0)), ("At most one grade apart", percent(near, 0))]


def _kappas(report: Report) -> Html:
    found = report["judge"]
    rows = [Row("Judge", found["kappa"])] if found["kappa"] else []
    if found["human_kappa"] is not None:
        rows.append(Row("Between people", {"value": found["human_kappa"]}, "neutral"))
    for name, value in (report.get("judge_vs_truth") or {}).items():
        if isinstance(value, int | float | Mapping) and not isinstance(value, bool):
            known = value if isinstance(value, Mapping) else {"value": value}
            rows.append(Row(f"Truth: {lower_words(name)}", known, "good"))
    rows += [
        Row(words(tier["role"]), {"value": tier["golden"]["kappa"]}, "relevance", "sealed split")
        for tier in report["tiers"]
        if tier["golden"]["kappa"] is not None
    ]
    floor = found.get("floor")
    line = "" if floor is None else f"; thin line: floor {decimal(floor, 2)}"
    if not rows:
        return element("p", "Not measured.", class_="missing")
    return interval_rows(f"Quadratic kappa{line}", rows, floor, lambda value: decimal(value, 2))
