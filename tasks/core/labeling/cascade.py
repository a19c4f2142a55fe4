"""Cheap judges first, the strong one where they are unsure, differ, or have no answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.core.labeling.agreement import weighted_kappa
from tasks.core.labeling.client import LabelRun
from tasks.core.labeling.judge import Judge, by_pair
from tasks.core.labeling.outcomes import Quarantined
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.labeling.replies import Judgment


@dataclass(frozen=True)
class Rung:
    """One judge of the cascade: what it was asked, what it cost, how it agrees with the strong.

    ``kappa_with_strong`` is over the pairs that both labeled, which are the hard ones; None
    for the strong judge itself or where there are none.
    """

    judge: str
    asked: int
    kept: int
    calls: int
    spent_usd: float
    kappa_with_strong: float | None


@dataclass(frozen=True)
class CascadeRun:
    """One judgment a pair, from the cheapest judge that could be trusted with it."""

    judgments: list[Judgment]
    quarantined: list[Quarantined]
    escalated_share: float
    rungs: list[Rung]


def run_cascade(
    cheap: Sequence[Judge],
    strong: Judge,
    requests: Sequence[LabelRequest],
    *,
    unsure_below: float = 0.7,
) -> CascadeRun:
    """Label by the first cheap judge; ask the strong one where the cheap ones cannot be trusted.

    A pair goes up if a cheap judge has no label for it, two cheap judges grade it differently,
    or the first one's most probable grade has a probability under ``unsure_below`` (where its
    endpoint gives none, only disagreement counts).
    """
    runs = [judge.label(requests, max_quarantine_share=1.0) for judge in cheap]
    labels = [by_pair(run) for run in runs]
    hard = [request for request in requests if _is_hard(request.pair_id, labels, unsure_below)]
    top = strong.label(hard, max_quarantine_share=1.0)
    strong_labels = by_pair(top)
    went_up = {request.pair_id for request in hard}
    final = {
        request.pair_id: (strong_labels if request.pair_id in went_up else labels[0]).get(
            request.pair_id
        )
        for request in requests
    }
    rungs = [
        _rung(judge, run, len(requests), 0 if place else len(requests) - len(hard), strong_labels)
        for place, (judge, run) in enumerate(zip(cheap, runs, strict=True))
    ]
    return CascadeRun(
        judgments=[judgment for judgment in final.values() if judgment is not None],
        quarantined=top.quarantined,
        escalated_share=len(hard) / len(requests) if requests else 0.0,
        rungs=[*rungs, _rung(strong, top, len(hard), len(strong_labels), None)],
    )


def _is_hard(pair_id: str, labels: Sequence[dict[str, Judgment]], unsure_below: float) -> bool:
    found = [judged.get(pair_id) for judged in labels]
    known = [judgment for judgment in found if judgment is not None]
    if len(known) < len(found) or len({judgment.grade for judgment in known}) > 1:
        return True
    probabilities = known[0].grade_probabilities
    return probabilities is not None and max(probabilities) < unsure_below


def _rung(
    judge: Judge, run: LabelRun, asked: int, kept: int, strong: dict[str, Judgment] | None
) -> Rung:
    kappa = None
    both = [judgment for judgment in run.judgments if strong and judgment.pair_id in strong]
    if strong and both:
        grades = np.array([[judgment.grade, strong[judgment.pair_id].grade] for judgment in both])
        kappa = weighted_kappa(grades[:, 0], grades[:, 1], judge.policy.grade_count)
    return Rung(
        judge=judge.endpoint.model,
        asked=asked,
        kept=kept,
        calls=run.progress.calls,
        spent_usd=run.progress.spent_usd,
        kappa_with_strong=kappa,
    )
