"""Step: a scorer and rows that trained nothing in; the same scorer with calibration out."""

import shutil
from typing import Any

import numpy as np

from tasks.core.calibration import fit_action, fit_grade_cuts, fit_temperature
from tasks.core.domain.catalog import Catalog
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import Row
from tasks.core.training.scorer import PairScorer, expected_grades, grade_probabilities
from tasks.exchange import SCORER, Domain, calibrating_rows, distributions, shown_rows
from tasks.settings import CalibrationSettings
from tasks.step import make, step


@step
def calibrate(
    domain: Domain,
    scorer: Artifact,
    judgments: Artifact,
    people: Artifact | None,
    impressions: Artifact | None,
    settings: CalibrationSettings,
) -> Artifact:
    """Fit temperature and grade cuts on held-out grades, actions on held-out impressions."""

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        loaded = PairScorer.load(scorer.file(SCORER), for_scoring=True)
        judged = calibrating_rows(judgments, people)
        shown = shown_rows(impressions, "calibrate")
        calibration = {
            **_grades(loaded, catalog, judged),
            "actions": _actions(loaded, catalog, shown),
        }
        shutil.copytree(scorer.file(SCORER), bench.out / SCORER, copy_function=shutil.copyfile)
        loaded.calibration = calibration
        loaded.write_card(bench.out / SCORER)
        return {"graded_pairs": len(judged), "impressions": len(shown)}

    return make(
        f"calibrated_{scorer.kind}",
        build,
        module=__name__,
        settings=settings,
        upstream=[domain.catalog, scorer, judgments, people, impressions],
    )


def _grades(scorer: PairScorer, catalog: Catalog, rows: list[Row]) -> dict[str, Any]:
    if not rows:
        return {"temperature": 1.0, "grade_cuts": None}
    grades = scorer.outputs.grade_count
    logits = scorer.logits(catalog.pairs(scorer.template, rows))[:, :grades].astype(np.float64)
    judged = distributions(rows, grades)
    expected = expected_grades(grade_probabilities(logits, grades))
    return {
        "temperature": fit_temperature(logits, judged),
        "grade_cuts": fit_grade_cuts(expected, judged),
    }


def _actions(scorer: PairScorer, catalog: Catalog, rows: list[Row]) -> dict[str, Any]:
    if not rows:
        return {}
    logits = scorer.logits(catalog.pairs(scorer.template, rows)).astype(np.float64)
    weights = np.array([row["weight"] for row in rows])
    return {
        name: fit_action(
            logits[:, scorer.outputs.grade_count + column],
            np.array([row[name] for row in rows], dtype=np.float64),
            weights,
        ).to_json()
        for column, name in enumerate(scorer.outputs.actions)
    }
