"""What an LLM judge stood beside its kappa: each dimension, its own wobble, hostile text."""

from collections.abc import Mapping
from typing import Any

from tasks.core.report.blocks import panel, side_by_side
from tasks.core.report.interval_rows import Row, interval_rows
from tasks.core.report.markup import Child, Html
from tasks.core.report.quantities import count, decimal, percent
from tasks.core.report.tables import Column, table


def judge_checks(found: Mapping[str, Any]) -> Html | None:
    """Two panels; None for a judge that was not checked, such as the embedded one."""
    panels = [one for one in (_dimensions(found.get("dimension_kappas")), _trials(found)) if one]
    return side_by_side(*panels) if panels else None


def check_facts(found: Mapping[str, Any]) -> list[tuple[str, Child]]:
    """Short facts of the checks, those that were made."""
    entries: list[tuple[str, Child]] = []
    if found.get("bias") is not None:
        entries.append(("Bias, in grades", f"{found['bias']:+.2f}"))
    if found.get("prompt"):
        entries.append(("Prompt", found["prompt"]["name"]))
    if found.get("search"):
        entries.append(("Looks at tune grades for it", count(found["search"]["looks"])))
    if found.get("stated"):
        entries.append(("Own sum differs from the policy's", percent(found["stated"]["differing"])))
    if found.get("noise_share") is not None:
        entries.append(("Nonsense that got a grade", percent(found["noise_share"])))
    if found.get("defense_cost") is not None:
        entries.append(("Cost of the defense, in grades", f"{found['defense_cost']:+.2f}"))
    if found.get("canaries"):
        entries.append(("Canaries graded exactly", percent(found["canaries"]["exact_share"])))
    if found.get("silence"):
        entries.append(("Silent about some", " ".join(found["silence"])))
    if "gate_reads" in found:
        entries.append(("Reads of the gate split", count(found["gate_reads"])))
    return entries


def _dimensions(kappas: Mapping[str, float | None] | None) -> Html | None:
    if not kappas:
        return None
    rows = [Row(name, {"value": one}) for name, one in kappas.items() if one is not None]
    figure = interval_rows("Quadratic kappa with people", rows, None, lambda v: decimal(v, 2))
    return panel("Agreement on each dimension", figure)


def _trials(found: Mapping[str, Any]) -> Html | None:
    """A row per harmless change and per attack: how many grades moved or rose, and by how much."""
    rows: list[list[Child]] = [
        [
            f"Asked {one['change']}" if one["change"] != "asked again" else "Asked again",
            count(one["pairs"]),
            f"{percent(one['moved_share'], 0)} moved",
            decimal(one["mean_move"], 2),
        ]
        for one in found.get("wobbles") or []
        if one["moved_share"] is not None
    ]
    rows += [
        [
            f"Added: {one['attack']}",
            count(one["pairs"]),
            f"{percent(one['raised_share'], 0)} rose",
            f"{one['shift']['value']:+.2f}",
        ]
        for one in found.get("twins") or []
    ]
    if not rows:
        return None
    columns = [
        Column("What was tried"),
        Column("Pairs", number=True),
        Column("Grades", number=True),
        Column("On average", number=True),
    ]
    return panel("Against itself and against hostile text", table("Gate pairs", columns, rows))
