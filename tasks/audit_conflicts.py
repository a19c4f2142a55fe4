"""Step: where the two teachers order candidates oppositely, by clause, query kind and group."""

from collections.abc import Mapping

import numpy as np

from tasks.core.distillation.conflicts import audit, discordance
from tasks.core.distillation.soft_labels import read_soft_labels
from tasks.core.distillation.students import Teacher
from tasks.core.domain.catalog import DOCUMENTS, group_values
from tasks.core.policies.parse import parse_policy
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import Row, read_rows
from tasks.exchange import CONFLICTS, POLICY, TRANSFER, Domain, judged_rows, list_numbers
from tasks.step import make, step


@step
def audit_conflicts(
    domain: Domain,
    judgments: Artifact,
    transfer: Artifact,
    by_policy: Artifact | None,
    by_clicks: Artifact | None,
) -> Artifact | None:
    """Shares of oppositely ordered candidates of a query; reads soft labels, runs no model."""
    if by_policy is None or by_clicks is None:
        return None

    def build(bench: Workbench) -> Counts:
        rows = read_rows(transfer.file(TRANSFER))
        queries = list_numbers([row["query_id"] for row in rows])
        grade_count = len(parse_policy(domain.policy.file(POLICY)).grades)
        ids = [row["pair_id"] for row in rows]
        grades = read_soft_labels(by_policy.folder, ids)[:, :grade_count]
        clicks = read_soft_labels(by_clicks.folder, ids)[:, grade_count:]
        policy = Teacher("policy", "grades", 1.0, 1.0, np.ascontiguousarray(grades)).opinion()
        click = Teacher("click", "actions", 1.0, 1.0, clicks).opinion()
        disagreement = discordance(policy, click, queries)
        known = disagreement[np.isfinite(disagreement)]
        found = {
            "pairs": len(known),
            "disagreement": float(known.mean()) if len(known) else None,
            "by": audit(disagreement, _columns(domain, judgments, rows)),
        }
        write_json(bench.out / CONFLICTS, found)
        return {"pairs": len(known)}

    return make(
        "conflicts",
        build,
        module=__name__,
        upstream=[domain.policy, domain.catalog, judgments, transfer, by_policy, by_clicks],
    )


def _columns(domain: Domain, judgments: Artifact, rows: list[Row]) -> Mapping[str, list[list[str]]]:
    """What rows are told apart by; a shown pair that was never judged has no clause or source."""
    judged = {row["pair_id"]: row for row in judged_rows(judgments, "train")}
    groups = group_values(read_rows(domain.catalog.file(DOCUMENTS)), "doc_id")
    columns: dict[str, list[list[str]]] = {
        "clause": [list(judged.get(row["pair_id"], {}).get("clauses") or []) for row in rows],
        "query kind": [
            [judged[i]["source"]] if (i := row["pair_id"]) in judged else ["shown"] for row in rows
        ],
    }
    for name in sorted({name for one in groups.values() for name in one}):
        columns[f"group {name}"] = [
            [str(groups[row["doc_id"]][name])] if name in groups[row["doc_id"]] else []
            for row in rows
        ]
    return columns
