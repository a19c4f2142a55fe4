"""Step: the gate split decides whether the candidate serves; the registry keeps what it says."""

import math
from typing import Any

import numpy as np

from tasks.core.domain.catalog import Catalog
from tasks.core.intervals import Interval, bootstrap_mean
from tasks.core.labeling.agreement import weighted_kappa
from tasks.core.promotion import Candidate, Gates, decide
from tasks.core.ranking import QueryScores, ndcg_at_10
from tasks.core.store.artifacts import Artifact, Counts, Workbench, store_root
from tasks.core.store.files import write_json
from tasks.core.store.registry import Registry
from tasks.core.tables import Row
from tasks.core.training.scorer import PairScorer, grade_probabilities, relevance, rounded_grades
from tasks.exchange import EFFECTS, SCORER, Domain, golden_rows
from tasks.run import current_run
from tasks.settings import PromotionSettings
from tasks.step import make, step

GATE = "gate.json"


@step
def promote(
    domain: Domain,
    scorer: Artifact,
    effects: Artifact | None,
    policy_teacher: Artifact,
    metrics: Artifact,
    settings: PromotionSettings,
) -> dict[str, Any]:
    """Register the candidate, compare it with the model in service, promote, refuse or wait.

    Returns the report's promotion part: decision, version, reasons.
    """
    registry = Registry(store_root() / current_run().domain / "registry")
    candidate = _gate(domain, scorer, policy_teacher, settings)
    measured = candidate.json(GATE)
    files = {"scorer": scorer.file(SCORER)}
    if effects is not None:
        files["effects"] = effects.file(EFFECTS)
    version = registry.register(files, {"run": metrics.digest[:16], "gate": measured})
    current = registry.current()
    if current is not None and current.version == version:
        reason = "This model is in service already: nothing changed."
        return {"decision": "promoted", "version": version, "reasons": [reason]}
    gain = None
    if current is not None:
        gain = _gain(measured["ndcg_by_query"], current.card["gate"]["ndcg_by_query"], settings)
    decision, reasons = decide(
        Candidate(measured["kappa"], measured["ndcg"], measured["kept_ndcg"], gain),
        Gates(
            minimum_kappa=settings.minimum_kappa,
            minimum_ndcg=settings.minimum_ndcg,
            minimum_kept_ndcg=settings.minimum_kept_ndcg,
            margin_ndcg=settings.margin_ndcg,
        ),
        approval_required=settings.approval == "required",
    )
    if decision == "promoted":
        registry.promote(version, reason=" ".join(reasons), by="run")
    elif decision == "refused" and version in registry.waiting():
        registry.refuse(version, reason=" ".join(reasons), by="run")
    return {"decision": decision, "version": version, "reasons": reasons}


def _gate(
    domain: Domain, scorer: Artifact, policy_teacher: Artifact, settings: PromotionSettings
) -> Artifact:
    """The candidate's figures on the gate split, beside its teacher's."""

    def build(bench: Workbench) -> Counts:
        rows = golden_rows(domain, "gate")
        catalog = Catalog.load(domain.catalog.folder)
        grades = np.array([row["grade"] for row in rows])
        kappa, student = _measure(PairScorer.load(scorer.file(SCORER)), catalog, rows, grades)
        _, teacher = _measure(PairScorer.load(policy_teacher.file(SCORER)), catalog, rows, grades)
        write_json(
            bench.out / GATE,
            {
                "kappa": kappa,
                "ndcg": student.mean,
                "kept_ndcg": student.mean / teacher.mean,
                "ndcg_by_query": dict(
                    zip(student.query_ids, map(float, student.values), strict=True)
                ),
            },
        )
        return {"pairs": len(rows), "queries": len(student.query_ids)}

    return make(
        "gate",
        build,
        module=__name__,
        settings={"seed": settings.seed},
        upstream=[domain.golden, domain.catalog, scorer, policy_teacher],
    )


def _measure(
    scorer: PairScorer, catalog: Catalog, rows: list[Row], grades: Any
) -> tuple[float, QueryScores]:
    logits = scorer.logits(catalog.pairs(scorer.template, rows))
    probabilities = grade_probabilities(logits, scorer.outputs.grade_count)
    scores = relevance(probabilities)
    ndcg = ndcg_at_10([r["query_id"] for r in rows], [r["doc_id"] for r in rows], grades, scores)
    kappa = weighted_kappa(grades, rounded_grades(probabilities), scorer.outputs.grade_count)
    return kappa, ndcg


def _gain(
    candidate: dict[str, float], current: dict[str, float], settings: PromotionSettings
) -> Interval:
    """The candidate's NDCG less the served model's, paired over the queries both were held to.

    Without a query in common nothing tells that the candidate loses nothing: it does not pass.
    """
    shared = sorted(candidate.keys() & current.keys())
    if not shared:
        return Interval(math.nan, math.nan, math.nan, 0)
    differences = np.array([candidate[query] - current[query] for query in shared])
    return bootstrap_mean(differences, n_resamples=settings.n_resamples, seed=settings.seed)
