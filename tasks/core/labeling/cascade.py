"""Cheap judges first, the strong one where they are unsure, differ, or have no answer.

Every answer lies in the journal, so a pair's label is found again without holding it: memory
does not grow with the number of pairs.
"""

import hashlib
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.labeling.agreement import weighted_kappa
from tasks.core.labeling.drain import Drained, Hear, combined, drain
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.labeling.replies import Judgment
from tasks.core.labeling.stored import stored_label

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rung:
    """One judge of the cascade: what it was asked, what it cost, how it agrees with the strong.

    Agreement is with the strong judge on pairs that both labeled: on those that went up, which
    are the hard ones, and on those that did not but were audited. None where there are none.
    """

    judge: str
    asked: int
    kept: int
    calls: int
    spent_usd: float
    kappa_on_hard: float | None = None
    kept_audited: int = 0
    same_grade_on_kept: float | None = None


@dataclass(frozen=True)
class CascadeRun(Drained):
    """What a run of the cascade came to, rung by rung; the strong judge's is the last."""

    escalated_share: float
    rungs: list[Rung]

    def to_json(self) -> dict[str, Any]:
        rungs = [asdict(rung) for rung in self.rungs]
        return {"escalated_share": self.escalated_share, "rungs": rungs}


@dataclass(frozen=True)
class Cascade:
    """One or two cheap judges below a strong one, and where the cheap ones are not trusted.

    ``audited`` pairs that did not go up are labeled by the strong judge too, to tell how far the
    cheap labels can be trusted.
    """

    cheap: Sequence[Judge]
    strong: Judge
    unsure_below: float = 0.7
    audited: int = 0

    @property
    def judges(self) -> Sequence[Judge]:
        """The cheap ones, then the strong one."""
        return (*self.cheap, self.strong)

    def run(
        self,
        requests: Iterable[LabelRequest],
        *,
        max_quarantine_share: float = 0.05,
        on_progress: Hear | None = None,
    ) -> CascadeRun:
        """Label by the cheap judges; ask the strong one about the hard pairs.

        ``requests`` is iterated several times.

        Raises:
            CookbookError: as ``label``; only the strong judge's quarantine counts.
        """
        passes = [drain(judge, requests, on_progress=on_progress) for judge in self.cheap]
        top = drain(
            self.strong,
            (request for request in requests if self.is_hard(request)),
            max_quarantine_share=max_quarantine_share,
            on_progress=on_progress,
        )
        sample = self._sample_of_kept(requests)
        audit = drain(self.strong, sample)
        rungs = [
            self._cheap_rung(place, passed, top, requests, sample if place == 0 else [])
            for place, passed in enumerate(passes)
        ]
        strong = Rung(
            judge=self.strong.endpoint.model,
            asked=top.progress.finished,
            kept=top.progress.labeled,
            calls=top.progress.calls + audit.progress.calls,
            spent_usd=top.spent_usd + audit.spent_usd,
        )
        pairs = passes[0].progress.finished
        share = top.progress.finished / pairs if pairs else 0.0
        progress = combined([*passes, top, audit], pairs, len(top.quarantined))
        return CascadeRun(progress, top.quarantined, progress.spent_usd, share, [*rungs, strong])

    def stored(self, request: LabelRequest) -> Judgment | None:
        """The pair's label, from the cheapest judge that can be trusted with it."""
        return stored_label(self.strong if self.is_hard(request) else self.cheap[0], request)

    def is_hard(self, request: LabelRequest) -> bool:
        """A pair goes up if a cheap judge has no label for it, two cheap judges grade it
        differently, or the first one's most probable grade has a probability under
        ``unsure_below`` (where its endpoint gives none, only disagreement counts)."""
        found = [stored_label(judge, request) for judge in self.cheap]
        known = [label for label in found if label is not None]
        if len(known) < len(found) or len({label.grade for label in known}) > 1:
            return True
        probabilities = known[0].grade_probabilities
        return probabilities is not None and max(probabilities) < self.unsure_below

    def _sample_of_kept(self, requests: Iterable[LabelRequest]) -> list[LabelRequest]:
        easy = (request for request in requests if not self.is_hard(request))
        return heapq.nsmallest(self.audited, easy, key=_draw)

    def _cheap_rung(
        self,
        place: int,
        passed: Drained,
        top: Drained,
        requests: Iterable[LabelRequest],
        sample: Sequence[LabelRequest],
    ) -> Rung:
        judge, asked = self.cheap[place], passed.progress.finished
        hard = self._both_grades(judge, (r for r in requests if self.is_hard(r)))
        kept = self._both_grades(judge, sample)
        return Rung(
            judge=judge.endpoint.model,
            asked=asked,
            kept=0 if place else asked - top.progress.finished,
            calls=passed.progress.calls,
            spent_usd=passed.spent_usd,
            kappa_on_hard=_kappa(hard, judge.policy.grade_count),
            kept_audited=len(kept),
            same_grade_on_kept=float((kept[:, 0] == kept[:, 1]).mean()) if len(kept) else None,
        )

    def _both_grades(self, judge: Judge, requests: Iterable[LabelRequest]) -> Ints:
        """Grades by this judge and by the strong one where both have one, shape (pairs, 2)."""
        labels = ((stored_label(judge, r), stored_label(self.strong, r)) for r in requests)
        grades = [(cheap.grade, strong.grade) for cheap, strong in labels if cheap and strong]
        return np.array(grades, dtype=np.int64).reshape(-1, 2)


def _kappa(grades: Ints, grade_count: int) -> float | None:
    if not len(grades):
        return None
    kappa = weighted_kappa(grades[:, 0], grades[:, 1], grade_count)
    return None if np.isnan(kappa) else kappa


def _draw(request: LabelRequest) -> str:
    return hashlib.sha256(f"audit:{request.pair_id}".encode()).hexdigest()
