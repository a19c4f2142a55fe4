"""Step: where teachers order candidates oppositely, by clause, query kind, source and group.

Groups of documents and members name rows here that were scored without them; no model reads it.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.distillation.conflicts import audit, discordance
from tasks.core.distillation.soft_labels import read_soft_labels
from tasks.core.distillation.students import Teacher
from tasks.core.domain.catalog import Catalog
from tasks.core.fairness.attributes import attributes_of
from tasks.core.fairness.evidence import row_groups
from tasks.core.policies.parse import parse_policy
from tasks.core.retrieval.query_kinds import QueryKinds
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import Row, read_rows
from tasks.core.training.scorer import Goal
from tasks.exchange import (
    CONFLICTS,
    POLICY,
    TRANSFER,
    Domain,
    asking_numbers,
    graded_by_people,
    judged_rows,
    order_of,
)
from tasks.step import make, step

Columns = Mapping[str, list[list[str]]]
Floats = npt.NDArray[np.float64]


@step
def audit_conflicts(
    domain: Domain,
    judgments: Artifact,
    people: Artifact | None,
    transfer: Artifact,
    labels: Mapping[str, Artifact | None],
    goals: Mapping[str, Goal],
) -> Artifact | None:
    """Shares of oppositely ordered candidates of a query; reads soft labels, runs no model.

    ``labels`` are soft labels by teacher, and ``goals`` what each speaks of. The policy teacher
    and the click teacher come first; without both there is nothing to show.
    """
    present = {name: one for name, one in labels.items() if one is not None}
    if not {"policy", "click"} <= present.keys():
        return None

    def build(bench: Workbench) -> Counts:
        rows = read_rows(transfer.file(TRANSFER))
        queries = asking_numbers(rows)
        columns = _columns(domain, judgments, people, rows)
        opinions = _opinions(domain, rows, present, goals)
        between = [
            {"teachers": [one, other]}
            | _disagreement(discordance(opinions[one], opinions[other], queries), columns)
            for one, other in combinations(opinions, 2)
        ]
        main = next(one for one in between if set(one["teachers"]) == {"policy", "click"})
        write_json(bench.out / CONFLICTS, {**main, "between": between})
        return {"pairs": main["pairs"]}

    return make(
        "conflicts",
        build,
        module=__name__,
        settings={"teachers": {name: goals[name] for name in present}},
        upstream=[
            *(domain.policy, domain.catalog, judgments, people, transfer),
            *present.values(),
        ],
    )


def _opinions(
    domain: Domain, rows: list[Row], labels: Mapping[str, Artifact], goals: Mapping[str, Goal]
) -> dict[str, Floats]:
    """What each teacher, and retrieval beside them, ranks the rows by; NaN where it is silent."""
    grade_count = len(parse_policy(domain.policy.file(POLICY)).grades)
    ids = [row["pair_id"] for row in rows]
    found = {}
    for name, artifact in labels.items():
        goal = goals[name]
        parts = np.split(read_soft_labels(artifact.folder, ids), [grade_count], axis=1)
        targets = np.ascontiguousarray(parts[goal == "actions"])
        found[name] = Teacher(name, goal, 1.0, 1.0, targets).opinion()
    return found | {"retrieval": order_of(rows)}


def _disagreement(disagreement: Floats, columns: Columns) -> dict[str, Any]:
    known = disagreement[np.isfinite(disagreement)]
    return {
        "pairs": len(known),
        "disagreement": float(known.mean()) if len(known) else None,
        "by": audit(disagreement, columns),
    }


def _columns(
    domain: Domain, judgments: Artifact, people: Artifact | None, rows: list[Row]
) -> Columns:
    """What rows are told apart by; a pair that the judge never saw has no clause."""
    judged = {row["pair_id"]: row for row in judged_rows(judgments, "train")}
    sources = {row["pair_id"]: "graded by people" for row in graded_by_people(people, "train")}
    sources |= {pair_id: row["source"] for pair_id, row in judged.items()}
    catalog = Catalog.load(domain.catalog.folder)
    return {
        "clause": [list(judged.get(row["pair_id"], {}).get("clauses") or []) for row in rows],
        "query kind": _kinds(catalog, rows),
        "pair source": [[sources.get(row["pair_id"], "shown")] for row in rows],
        **_groups(catalog, rows),
    }


def _kinds(catalog: Catalog, rows: list[Row]) -> list[list[str]]:
    """By query and member: one query_id may be asked by several, whom it does not fit alike."""
    kinds = QueryKinds(catalog.documents.values())
    asked = [(row["query"], row["member_id"]) for row in rows]
    found = {one: kinds.kind(one[0], catalog.member_text(one[1])) for one in {*asked}}
    return [[found[one]] for one in asked]


def _groups(catalog: Catalog, rows: list[Row]) -> Columns:
    """Each attribute that documents or members state; a row that states none has no value."""
    return {
        f"group {one.name}": [[one.groups[code]] if code >= 0 else [] for code in one.codes]
        for one in attributes_of(row_groups(catalog, rows))
    }
