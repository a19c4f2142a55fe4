"""A grade distribution from repeated samples, for endpoints without log-probabilities."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks.core.errors import CookbookError
from tasks.core.labeling.drain import Drained, Hear, combined, drain
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.labeling.replies import Judgment
from tasks.core.labeling.stored import stored_label


@dataclass(frozen=True)
class Sampled:
    """A way to label (ways.py): ``count`` answers a pair at a sampling temperature.

    The shares of the grades are the distribution. The grade is the median of the samples, the
    lower of two; evidence, clauses and rationale are those of the first sample that gave it.
    """

    judge: Judge
    count: int
    temperature: float = 1.0

    @property
    def judges(self) -> Sequence[Judge]:
        """The judge as it is asked first, second ...: other keys, other labels."""
        warm = replace(
            self.judge, endpoint=replace(self.judge.endpoint, temperature=self.temperature)
        )
        return [warm.with_sample(number) for number in range(self.count)]

    def run(
        self, requests: Iterable[LabelRequest], *, max_quarantine_share: float, on_progress: Hear
    ) -> Drained:
        """Ask as often; only pairs without a usable sample at all are in quarantine."""
        passes = [drain(judge, requests, on_progress=on_progress) for judge in self.judges]
        lost = set.intersection(*({one.pair_id for one in p.quarantined} for p in passes))
        pairs = passes[0].progress.finished
        if len(lost) > max_quarantine_share * pairs:
            raise CookbookError(
                f"Expected at most {max_quarantine_share:.0%} of the pairs without a usable "
                f"answer, but {len(lost)} of {pairs} have none in {self.count} samples; mend the "
                "prompt or the endpoint."
            )
        quarantined = [one for one in passes[0].quarantined if one.pair_id in lost]
        progress = combined(passes, pairs, len(lost))
        return Drained(progress, quarantined, progress.spent_usd)

    def stored(self, request: LabelRequest) -> Judgment | None:
        """The median grade of the stored samples, with the distribution of all."""
        found = [stored_label(judge, request) for judge in self.judges]
        samples = [label for label in found if label is not None]
        return _combine(samples, self.judge.policy.grade_count) if samples else None


def _combine(samples: Sequence[Judgment], grade_count: int) -> Judgment:
    grades = sorted(judgment.grade for judgment in samples)
    median = grades[(len(grades) - 1) // 2]
    shares = np.bincount(grades, minlength=grade_count) / len(grades)
    first = next(judgment for judgment in samples if judgment.grade == median)
    return replace(first, grade_probabilities=tuple(float(share) for share in shares))
