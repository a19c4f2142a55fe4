"""A few golden pairs labeled again in each run: a model that changed under its name shows here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from tasks.core.errors import CookbookError
from tasks.core.labeling.judge import GoldenPair, Judge, by_pair, requests_of


@dataclass(frozen=True)
class CanaryReading:
    """A judge on the canary set on one day: share of exact and mean absolute error in grades."""

    model: str
    on: str
    pairs: int
    exact_share: float
    mean_error: float


def choose_canaries(golden: Sequence[GoldenPair], count: int, *, seed: int = 0) -> list[GoldenPair]:
    """About ``count`` pairs, as many of each grade as there are, the same for the same seed."""
    generator = np.random.default_rng(seed)
    by_grade: dict[int, list[GoldenPair]] = {}
    for pair in golden:
        by_grade.setdefault(pair.grade, []).append(pair)
    chosen: list[GoldenPair] = []
    for place, (_, pairs) in enumerate(sorted(by_grade.items(), key=lambda item: len(item[1]))):
        quota = (count - len(chosen)) // (len(by_grade) - place)
        order = generator.permutation(len(pairs))[:quota]
        chosen += [pairs[number] for number in order]
    return chosen


def read_canaries(judge: Judge, canaries: Sequence[GoldenPair], *, on: date) -> CanaryReading:
    """Label the canaries afresh; a second reading on the same day costs nothing.

    A canary without a label counts as wrong by the whole scale.
    """
    today = judge.with_sample(on.toordinal())
    run = today.label(requests_of(canaries), max_quarantine_share=1.0)
    judged = by_pair(run)
    worst = judge.policy.grade_count - 1
    errors = [
        abs(judged[pair.request.pair_id].grade - pair.grade)
        if pair.request.pair_id in judged
        else worst
        for pair in canaries
    ]
    return CanaryReading(
        model=run.judgments[0].judge if run.judgments else judge.endpoint.model,
        on=on.isoformat(),
        pairs=len(canaries),
        exact_share=float(np.mean([error == 0 for error in errors])),
        mean_error=float(np.mean(errors)),
    )


def check_canaries(
    first: CanaryReading, now: CanaryReading, *, max_exact_drop: float = 0.1
) -> None:
    """Hold today's reading to the one made when the judge passed the gate.

    Raises:
        CookbookError: the share of exact canaries fell by more than ``max_exact_drop``, or one
            of the readings cannot be measured.
    """
    if not first.exact_share - now.exact_share <= max_exact_drop:
        raise CookbookError(
            f"Expected {now.model} to grade the canary set as {first.model} did on {first.on} "
            f"({first.exact_share:.0%} of {first.pairs} exact), but on {now.on} it is "
            f"{now.exact_share:.0%}; the model behind the name has changed: validate it again, or "
            "pin an earlier one."
        )
