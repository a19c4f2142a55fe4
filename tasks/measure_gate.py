"""Step: the candidate on the gate split and on clicks, before anything is decided."""

import numpy as np

from tasks.click_gate import write_clicks
from tasks.core.labeling.agreement import weighted_kappa
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import write_table
from tasks.core.training.scorer import CARD, single_grades
from tasks.exchange import GATE_SCORES, SCORER, Domain, golden_rows
from tasks.gate_split import GATE, by_query, on_gate
from tasks.step import make, step


@step
def measure_gate(
    domain: Domain, scorer: Artifact, policy_teacher: Artifact, impressions: Artifact | None
) -> Artifact:
    """The candidate's figures on the gate split, beside its teacher's, and on clicks.

    The clicks are of members that calibrate: held-out ones are the report's alone.
    """

    def build(bench: Workbench) -> Counts:
        rows = golden_rows(domain, "gate")
        candidate, teacher = (
            on_gate(domain, one.file(SCORER), rows) for one in (scorer, policy_teacher)
        )
        scores = {"served": candidate.relevance, "policy_teacher": teacher.relevance}
        write_table(bench.out / GATE_SCORES, scores)
        grades = np.array([row["grade"] for row in rows])
        student, best = candidate.ndcg(rows), teacher.ndcg(rows)
        card = scorer.json(f"{SCORER}/{CARD}")
        graded = single_grades(candidate.plain, card["calibration"]["grade_cuts"])
        kappa = weighted_kappa(grades, graded, candidate.plain.shape[1])
        write_json(
            bench.out / GATE,
            {
                "kappa": kappa,
                "ndcg": student.mean,
                "kept_ndcg": student.mean / best.mean,
                "ndcg_by_query": by_query(student),
                "click_auc": write_clicks(bench, domain, impressions, scorer.file(SCORER)),
            },
        )
        return {"pairs": len(rows), "queries": len(student.query_ids)}

    return make(
        "gate",
        build,
        module=__name__,
        upstream=[domain.golden, domain.catalog, scorer, policy_teacher, impressions],
    )
