"""A judge held against people, against itself and against hostile text, before it may label."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.labeling.agreement import weighted_kappa
from tasks.core.labeling.gate import Verdict, judge_verdict
from tasks.core.labeling.judge import GoldenPair, Judge, by_pair, requests_of
from tasks.core.labeling.outcomes import Progress
from tasks.core.labeling.replies import Judgment
from tasks.core.labeling.twins import TwinShift, defense_cost, measure_noise, measure_twins
from tasks.core.labeling.weaknesses import JudgeLimits, find_weaknesses, refuse_for
from tasks.core.labeling.wobble import Wobble, measure_wobble

# A dimension that people graded on fewer pairs says nothing about a judge.
_FEWEST_GRADED = 20


@dataclass(frozen=True)
class Checks:
    """How much is asked beside the gate pairs (0: not at all), and the most that may be wrong."""

    wobble_pairs: int
    twin_pairs: int
    limits: JudgeLimits


@dataclass(frozen=True)
class StatedGrades:
    """The grade that the judge itself said against the one that the policy makes of its dimensions.

    ``differing`` is the share of pairs where they differ, ``kappa`` that of the stated grade
    with people.
    """

    differing: float
    kappa: float


@dataclass(frozen=True)
class Examination:
    """The verdict and all that it rests on; empty lists and None were not measured.

    ``grades`` are the judge's, by pair_id; a pair without a usable answer has none.
    """

    verdict: Verdict
    grades: dict[str, int]
    pairs: int
    calls: int
    stated: StatedGrades | None = None
    wobbles: list[Wobble] = field(default_factory=list)
    twins: list[TwinShift] = field(default_factory=list)
    noise_share: float | None = None
    defense_cost: float | None = None
    weaknesses: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, the verdict's keys on top; a figure that is NaN is None.

        Grades are left out, and calls, which depend on what the journal already held.
        """
        found = asdict(self)
        answered = len(found.pop("grades"))
        del found["calls"]
        plain: dict[str, Any] = _finite(found.pop("verdict") | found | {"answered": answered})
        return plain


def examine(
    judge: Judge,
    gate: Sequence[GoldenPair],
    raters: npt.ArrayLike | None,
    *,
    floor_kappa: float,
    floor_human_share: float,
    checks: Checks | None,
    max_quarantine_share: float = 0.05,
    seed: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
) -> Examination:
    """Grade the gate pairs, and where the kappa suffices go on to wobble and hostile twins.

    ``raters`` has shape (pairs, raters), NaN where a rater did not grade. Without ``checks``
    only agreement decides: that is for the embedded judge, which reads no prompt. A judge below
    the floor is asked nothing more.

    Raises:
        CookbookError: as ``label_all`` does.
    """
    run = judge.label(
        requests_of(gate), max_quarantine_share=max_quarantine_share, on_progress=on_progress
    )
    judged = by_pair(run)
    kept = [number for number, pair in enumerate(gate) if pair.request.pair_id in judged]
    pairs = [gate[number] for number in kept]
    answers = [judged[pair.request.pair_id] for pair in pairs]
    verdict = judge_verdict(
        [pair.grade for pair in pairs],
        [answer.grade for answer in answers],
        None if raters is None else np.asarray(raters, dtype=np.float64)[kept],
        [pair.query_id for pair in pairs],
        grade_count=judge.policy.grade_count,
        floor_kappa=floor_kappa,
        floor_human_share=floor_human_share,
        seed=seed,
        dimension_grades=_dimension_grades(judge, pairs, answers),
    )
    grades = {answer.pair_id: answer.grade for answer in answers}
    found = Examination(verdict, grades, len(gate), run.progress.calls)
    return found if checks is None else _checked(judge, found, pairs, answers, checks, seed)


def sample_pairs(pairs: Sequence[GoldenPair], count: int, seed: int) -> list[GoldenPair]:
    """``count`` of the pairs in their order, or all where there are no more."""
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(pairs))[:count]
    return [pairs[number] for number in sorted(chosen)]


def _checked(
    judge: Judge,
    found: Examination,
    pairs: Sequence[GoldenPair],
    answers: Sequence[Judgment],
    checks: Checks,
    seed: int,
) -> Examination:
    """With what the checks found; any weakness closes the gate."""
    measured = _measure(judge, pairs, checks, seed) if found.verdict.passed else {}
    weaknesses = find_weaknesses(
        found.verdict,
        wobbles=measured.get("wobbles", []),
        twins=measured.get("twins", []),
        noise_share=measured.get("noise_share"),
        limits=checks.limits,
    )
    return replace(
        found,
        verdict=refuse_for(found.verdict, weaknesses),
        stated=_stated(judge, pairs, answers),
        weaknesses=weaknesses,
        **measured,
    )


def _measure(
    judge: Judge, pairs: Sequence[GoldenPair], checks: Checks, seed: int
) -> dict[str, Any]:
    """What costs calls: the judge against itself, hostile twins, nonsense, a bare prompt."""
    found: dict[str, Any] = {}
    if checks.wobble_pairs:
        wobbly = sample_pairs(pairs, checks.wobble_pairs, seed)
        found["wobbles"] = measure_wobble(judge, requests_of(wobbly))
    # Only a grade that is not the best can rise.
    low = [pair for pair in pairs if pair.grade < judge.policy.grade_count - 1]
    attacked = sample_pairs(low, checks.twin_pairs, seed)
    if attacked:
        found["twins"] = measure_twins(judge, attacked, seed=seed)
        found["noise_share"] = measure_noise(judge, attacked)
        found["defense_cost"] = defense_cost(judge, attacked)
    return found


def _stated(
    judge: Judge, pairs: Sequence[GoldenPair], answers: Sequence[Judgment]
) -> StatedGrades | None:
    if not answers:
        return None
    stated = [answer.stated_grade for answer in answers]
    return StatedGrades(
        differing=float(np.mean([answer.grade != answer.stated_grade for answer in answers])),
        kappa=weighted_kappa([pair.grade for pair in pairs], stated, judge.policy.grade_count),
    )


def _dimension_grades(
    judge: Judge, pairs: Sequence[GoldenPair], answers: Sequence[Judgment]
) -> dict[str, tuple[list[float], list[float]]]:
    """Human and judge grades of the dimensions that both grade, NaN where one gave none."""
    if not any(answer.dimension_grades for answer in answers):
        return {}
    found = {}
    for dimension in judge.policy.dimensions:
        human = [_number(pair.dimension_grades.get(dimension.id)) for pair in pairs]
        known = [grade for grade in human if not np.isnan(grade)]
        # Where people themselves give one grade, agreement cannot be told from chance.
        if len(known) >= _FEWEST_GRADED and len(set(known)) > 1:
            given = [_number((one.dimension_grades or {}).get(dimension.id)) for one in answers]
            found[dimension.id] = (human, given)
    return found


def _number(grade: int | None) -> float:
    return float("nan") if grade is None else float(grade)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
