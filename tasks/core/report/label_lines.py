"""How the labels came about, in sentences: for the page and for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.core.report.quantities import count, decimal, money, percent

Found = Mapping[str, Any]
_SHOWN_HOLES, _SHOWN_FIELDS, _SHOWN_PAIRS = 8, 12, 4


def label_lines(labeling: Found) -> list[str]:
    """What an edit of the policy made stale, what each judge did, what is not exercised, what
    was sent, which texts address the judge; each only where it was recorded."""
    return [
        *_edits(labeling.get("policy_edit") or {}),
        *_rungs((labeling.get("rungs") or {}).get("rungs", [])),
        *_coverage(labeling.get("coverage")),
        *_sent(labeling.get("sent")),
        *_suspicious(labeling.get("suspicious")),
    ]


def _edits(edits: Mapping[str, Found]) -> Iterator[str]:
    for judge, edit in edits.items():
        labels, missed = edit["kept"] + edit["stale"], edit["missed"]
        changed = ", ".join(edit["changed_clauses"]) or "no clause"
        text = (
            f"Since the last labels of {judge} the policy changed ({changed}): "
            f"{count(edit['stale'])} of {count(labels)} were stale ({percent(edit['stale_share'])})"
        )
        if missed["sampled"]:
            text += (
                f"; of {count(missed['sampled'])} others that were asked again "
                f"{count(missed['changed'])} had another grade"
            )
        yield text + "."


def _rungs(rungs: list[Found]) -> Iterator[str]:
    for rung in rungs:
        text = (
            f"{rung['judge']}: asked about {count(rung['asked'])} pairs, graded "
            f"{count(rung['kept'])} for good, {count(rung['calls'])} calls, "
            f"{money(rung['spent_usd'])}"
        )
        if rung["kappa_on_hard"] is not None:
            text += f"; kappa {decimal(rung['kappa_on_hard'], 2)} with the judge on what went up"
        if rung["kept_audited"]:
            text += (
                f"; the judge's own grade on {percent(rung['same_grade_on_kept'], 0)} of "
                f"{count(rung['kept_audited'])} pairs that stayed"
            )
        yield text + "."


def _coverage(found: Found | None) -> Iterator[str]:
    if not found:
        return
    parts = [
        f"{sum(number > 0 for number in table.values())} of {len(table)} {name}"
        for name in ("clauses", "dimensions", "grades", "kinds")
        if (table := found[name])
    ]
    untold = "" if found["clauses"] else "; this judge cites no clauses"
    yield f"The labels exercise {', '.join(parts)}{untold}."
    if found["holes"]:
        yield f"Not exercised: {_first(found['holes'], _SHOWN_HOLES)}."


def _sent(found: Found | None) -> Iterator[str]:
    if not found:
        return
    addresses = ", ".join(dict.fromkeys(one["address"] for one in found["to"]))
    withheld = {*found["document"]["withheld"], *found["member"]["withheld"]}
    yield (
        f"Sent to {addresses}: the policy, the query, of documents "
        f"{_first(found['document']['sent'], _SHOWN_FIELDS)}, of members "
        f"{', '.join(found['member']['sent']) or 'nothing'}; withheld: "
        f"{', '.join(sorted(withheld)) or 'nothing there was'}."
    )


def _first(names: Sequence[str], shown: int) -> str:
    """The first names; the artifact holds them all, and a catalog may have hundreds of fields."""
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(names[:shown])}{rest}"


def _suspicious(found: Found | None) -> Iterator[str]:
    if not found or not found["suspicious"]:
        return
    marks = ", ".join(f"{name} {count(number)}" for name, number in found["marks"].items())
    yield (
        f"{count(found['suspicious'])} of {count(found['pairs'])} pairs bear marks of text that "
        f"addresses the judge ({marks}), such as {_first(found['first'], _SHOWN_PAIRS)}. They are "
        "labeled as all others are; `cookbook explain PAIR_ID` shows one."
    )
