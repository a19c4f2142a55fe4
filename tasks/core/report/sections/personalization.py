"""What personal effects add, pass by pass."""

from collections.abc import Mapping
from typing import Any

from tasks.core.report.blocks import not_measured, panel, section, side_by_side
from tasks.core.report.interval_rows import Row, interval_rows
from tasks.core.report.markup import Html
from tasks.core.report.quantities import Interval, count, decimal, percent, signed, words
from tasks.core.report.schema import Report
from tasks.core.report.tables import Column, table

_TERMS = {
    "Fixed": "the student alone, the same for everybody.",
    "Coordinate": "one kind of personal effect, fitted while the others are held still.",
    "Pass": "one round over all coordinates.",
    "Trained": "members or documents with enough rows for an effect of their own.",
    "Passive": "scored, but with too few rows to be trained on: the student's score stands.",
    "Single class": "only clicks, or only non-clicks, were seen: their effect is held back.",
}


def personalization(report: Report) -> Html:
    """Click AUC of the fixed model and after each coordinate of each pass, and who was covered."""
    found = report["personalization"]
    if found is None:
        missing = not_measured(report, "personal", "click", "impression")
        return section("personalization", "Personalization", missing)
    return section(
        "personalization",
        "Personalization, pass by pass",
        _finding(found["gain"]),
        side_by_side(
            panel("Click AUC on later impressions", _passes(found)),
            panel("Who has an effect of their own", _entities(found["entities"])),
        ),
        *_fits(found.get("convergence", {})),
        terms=_TERMS,
    )


def _finding(gain: Interval | None) -> str:
    if gain is None:
        return "What personal effects add was not measured."
    certain = gain["low"] > 0 or gain["high"] < 0
    return (
        f"Personal effects change click AUC by {signed(gain['value'])}, 95% interval "
        f"{signed(gain['low'])} to {signed(gain['high'])}"
        f"{'' if certain else ': no difference that could not be chance'}."
    )


def _passes(found: Mapping[str, Any]) -> Html:
    fixed: Interval | None = found["auc_fixed"]
    rows = [Row("Fixed", fixed, "neutral", "the student alone")] if fixed else []
    for step in found["passes"]:
        auc = step["auc"]
        if auc is not None:
            known = auc if isinstance(auc, Mapping) else {"value": auc}
            rows.append(Row(words(step["coordinate"]), known, "clicks", f"pass {step['pass']}"))
    return interval_rows(
        "Click AUC, in the order of fitting; thin line: the fixed model",
        rows,
        fixed["value"] if fixed else None,
        decimal,
    )


def _entities(entities: Mapping[str, Mapping[str, int]]) -> Html:
    kinds = ("trained", "passive", "single_class")
    rows = [
        [words(name), *(count(number[kind]) for kind in kinds), _covered(number)]
        for name, number in entities.items()
    ]
    columns = [
        Column("Effect"),
        *(Column(words(kind), number=True) for kind in kinds),
        Column("Share trained", number=True),
    ]
    return table("Members or documents, by kind of effect.", columns, rows)


def _fits(convergence: Mapping[str, Mapping[str, float]]) -> list[Html]:
    """How close every coordinate's models are to their optimum; reports of old runs lack it."""
    if not convergence:
        return []
    rows = [
        [
            words(name),
            count(int(fit["trained"])),
            count(int(fit["active_rows"])),
            decimal(fit["mean_iterations"], 1),
            f"{fit['largest_gradient']:.0e}",
            count(int(fit["unconverged"])),
            count(int(fit["float64_fallbacks"])),
        ]
        for name, fit in convergence.items()
    ]
    columns = [
        Column("Effect"),
        Column("Fitted", number=True),
        Column("Rows", number=True),
        Column("Steps, mean", number=True),
        Column("Largest gradient", number=True),
        Column("Not converged", number=True),
        Column("Repeated in float64", number=True),
    ]
    caption = "How the fits ended: models, the rows they saw, and how far from their optimum."
    return [panel("Convergence", table(caption, columns, rows))]


def _covered(number: Mapping[str, int]) -> str:
    known = number["trained"] + number["passive"]
    return percent(number["trained"] / known if known else None, 0)
