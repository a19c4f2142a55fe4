"""Steps: every tier on one yardstick: sealed golden queries, held-out members, speed."""

import time

import numpy as np

from tasks.core.calibration import fit_grade_cuts
from tasks.core.domain.catalog import Catalog
from tasks.core.inputs import PairText
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.retrieval.first_stage import retrieval_scores
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import Row, write_table
from tasks.core.training.base_models import BaseModel
from tasks.core.training.scorer import PairScorer, expected_grades, grade_probabilities
from tasks.exchange import (
    CUTS,
    LOGITS,
    SCORER,
    SPEED,
    Domain,
    calibrating_rows,
    distributions,
    golden_rows,
    known_vectors,
    shown_rows,
)
from tasks.run import current_run
from tasks.settings import BaseModelSettings, EvaluationSettings
from tasks.step import make, step


@step
def evaluate_tier(
    role: str,
    domain: Domain,
    scorer: Artifact | None,
    judgments: Artifact,
    people: Artifact | None,
    impressions: Artifact | None,
    settings: EvaluationSettings,
    *,
    timed: bool,
) -> Artifact | None:
    """Raw logits of one tier on sealed pairs and held-out impressions, and how fast it is.

    ``timed``: whether its speed is told; the students of one goal are there to be compared with.
    Its grades are cut as the judge's held-out ones are: every tier's alike, calibrated or not.
    """
    if scorer is None:
        return None

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        loaded = PairScorer.load(scorer.file(SCORER), for_scoring=True)
        sealed, shown = golden_rows(domain, "sealed"), shown_rows(impressions, "held_out")
        pairs = catalog.pairs(loaded.template, [*sealed, *shown])
        started = time.perf_counter()
        logits = loaded.logits(pairs)
        seconds = time.perf_counter() - started
        current_run().progress(f"evaluated_{role}", 1, 1)
        write_table(bench.out / LOGITS, {"logits": list(logits)})
        if timed:
            speed = {
                "pairs_per_second": len(set(pairs)) / seconds,  # the others are not scored again
                "latency_ms": _latency_ms(loaded, pairs[: len(sealed)], settings),
            }
            write_json(bench.out / SPEED, speed)
        held_out = calibrating_rows(judgments, people)
        cuts = _grade_cuts(loaded, catalog, held_out)
        write_json(bench.out / CUTS, {"grade_cuts": cuts})
        return {"sealed_pairs": len(sealed), "impressions": len(shown)}

    return make(
        f"evaluated_{role}",
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "timed": timed},
        upstream=[domain.golden, domain.catalog, scorer, judgments, people, impressions],
    )


@step
def evaluate_baselines(
    domain: Domain, vectors: Artifact, encoder: BaseModelSettings, impressions: Artifact | None
) -> Artifact:
    """BM25 and the untouched encoder's cosine on the same rows as the tiers."""
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        rows = [*golden_rows(domain, "sealed"), *shown_rows(impressions, "held_out")]
        known = known_vectors(vectors)
        bm25, cosine = retrieval_scores(catalog, TextEncoder.of(base), rows, known)
        write_table(bench.out / LOGITS, {"bm25": bm25, "embedding": cosine})
        return {"pairs": len(rows)}

    return make(
        "evaluated_baselines",
        build,
        module=__name__,
        settings={"encoder": base.fingerprint()},
        upstream=[domain.golden, domain.catalog, vectors, impressions],
    )


def _grade_cuts(scorer: PairScorer, catalog: Catalog, rows: list[Row]) -> list[float] | None:
    """Those of its card; a tier that does not serve is not calibrated, and has them found here.

    None for a scorer that was taught no grades.
    """
    if not rows or "grade_cuts" in scorer.calibration or "grades" not in scorer.taught:
        return scorer.calibration.get("grade_cuts")
    grades = scorer.outputs.grade_count
    logits = scorer.logits(catalog.pairs(scorer.template, rows))
    expected = expected_grades(grade_probabilities(logits, grades))
    return fit_grade_cuts(expected, distributions(rows, grades))


def _latency_ms(
    scorer: PairScorer, pairs: list[PairText], settings: EvaluationSettings
) -> dict[str, float]:
    """Milliseconds of one request: one query's candidates, tokenized and scored."""
    size = settings.candidates_per_request
    taken = []
    for number in range(settings.latency_requests + 1):
        start = (number * size) % max(1, len(pairs) - size)
        started = time.perf_counter()
        scorer.logits(pairs[start : start + size])
        taken.append(1000.0 * (time.perf_counter() - started))
    # The first request pays for memory that later ones reuse.
    p50, p99 = np.quantile(taken[1:], [0.5, 0.99])
    return {"p50": float(p50), "p99": float(p99)}
