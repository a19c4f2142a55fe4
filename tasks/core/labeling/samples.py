"""A grade distribution from repeated samples, for endpoints without log-probabilities."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tasks.core.labeling.judge import Judge, by_pair
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.labeling.replies import Judgment


def label_by_samples(
    judge: Judge, requests: Sequence[LabelRequest], *, count: int, temperature: float = 1.0
) -> list[Judgment]:
    """Ask ``count`` times at a sampling temperature; the shares of the grades are the distribution.

    The grade is the median of the samples, the lower of two; evidence, clauses and rationale are
    those of the first sample that gave it. Costs ``count`` calls a pair. Pairs without any usable
    sample are left out.
    """
    warm = replace(judge, endpoint=replace(judge.endpoint, temperature=temperature))
    passes = [
        by_pair(warm.with_sample(number).label(requests, max_quarantine_share=1.0))
        for number in range(count)
    ]
    judgments = []
    for request in requests:
        samples = [found[request.pair_id] for found in passes if request.pair_id in found]
        if samples:
            judgments.append(_combine(samples, judge.policy.grade_count))
    return judgments


def _combine(samples: Sequence[Judgment], grade_count: int) -> Judgment:
    grades = sorted(judgment.grade for judgment in samples)
    median = grades[(len(grades) - 1) // 2]
    shares = np.bincount(grades, minlength=grade_count) / len(grades)
    first = next(judgment for judgment in samples if judgment.grade == median)
    return replace(first, grade_probabilities=tuple(float(share) for share in shares))
