"""Which prompt agrees best with people: cross-validation on the tune split, within a call budget.

The winner's own score is too good, because it was picked for it. The honest figure scores
each fold with the prompt that won on the other folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError
from tasks.core.labeling.agreement import weighted_kappa
from tasks.core.labeling.judge import GoldenPair, Judge, by_pair, requests_of
from tasks.core.labeling.prompts import INSTRUCTIONS, Prompt
from tasks.core.policy import Policy

# A prompt that leaves more pairs than this without a label is not in the race.
_MOST_UNANSWERED = 0.1
_SCEPTICAL = """

Most pairs are no good match. Grade the weakest statement that still counts, not the
impression; where the text is silent about what the policy asks for, it does not have it."""
_DIMENSION_BY_DIMENSION = """

Work through the dimensions in the policy's order and finish each before the next: look up its
clauses, name the one that applies, quote the evidence, then grade. A high grade on one
dimension is no reason for a high grade on another."""


@dataclass(frozen=True)
class PromptScore:
    """A prompt on the tune split: kappa, and the pairs it left without a label."""

    prompt: Prompt
    kappa: float
    unanswered: int


@dataclass(frozen=True)
class PromptSearch:
    """The best prompt and what finding it took.

    ``honest_kappa`` is that of held-out folds. ``looks`` counts how often a golden grade was
    compared with an answer; ``untried`` names the prompts that the call budget left out.
    """

    best: Prompt
    honest_kappa: float
    scores: list[PromptScore]
    calls: int
    looks: int
    untried: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, prompts by name; the kappa of a prompt out of the race is None.

        Calls are left out: they depend on what the journal already held.
        """
        scores = {one.prompt.name: one for one in self.scores}
        return {
            "honest_kappa": None if np.isnan(self.honest_kappa) else self.honest_kappa,
            "kappas": {n: None if np.isnan(s.kappa) else s.kappa for n, s in scores.items()},
            "unanswered": {name: score.unanswered for name, score in scores.items()},
            "looks": self.looks,
            "untried": list(self.untried),
        }


def affordable_pairs(
    tune: Sequence[GoldenPair], candidates: int, max_calls: int, *, seed: int = 0
) -> list[GoldenPair]:
    """Pairs of whole queries, drawn so that every candidate can be asked about all of them."""
    # The last candidate is begun only if a repair of each of its pairs is covered too.
    most = max_calls // (candidates + 1)
    queries = sorted({pair.query_id for pair in tune})
    order = np.random.default_rng(seed).permutation(len(queries))
    place = {queries[number]: rank for rank, number in enumerate(order)}
    drawn = sorted(tune, key=lambda pair: place[pair.query_id])[: most + 1]
    if len(drawn) <= most:
        return drawn
    # The query at the edge would be cut.
    return [pair for pair in drawn if pair.query_id != drawn[-1].query_id]


def prompt_candidates(policy: Policy) -> list[Prompt]:
    """The prompts worth trying first: plain, with precedents again, sceptical, step by step."""
    shown = ["Worked examples, from the policy's precedents:"]
    for precedent in policy.precedents[:12]:
        grades = ", ".join(f"{name} {grade}" for name, grade in precedent.dimension_grades.items())
        shown.append(
            f"- query: {precedent.query}; pair: {precedent.pair} -> {grades}; "
            f"overall {precedent.grade}; clauses {', '.join(precedent.clauses)}"
        )
    return [
        Prompt("plain"),
        Prompt("sceptical", instructions=INSTRUCTIONS + _SCEPTICAL),
        Prompt("by_dimension", instructions=INSTRUCTIONS + _DIMENSION_BY_DIMENSION),
        Prompt("precedents", examples=("\n".join(shown),)),
    ]


def search_prompts(
    judge: Judge,
    candidates: Sequence[Prompt],
    tune: Sequence[GoldenPair],
    *,
    max_calls: int,
    n_folds: int = 5,
    seed: int = 0,
) -> PromptSearch:
    """Ask each candidate about the tune pairs and cross-validate the choice, folds by query.

    A candidate is begun only if the calls that are left cover its pairs and their repairs.

    Raises:
        CookbookError: the budget does not cover one candidate, or none answers well enough.
    """
    answers, calls = _ask_candidates(judge, candidates, tune, max_calls)
    if not answers:
        raise CookbookError(
            f"Expected a call budget for prompt search of at least {2 * len(tune)} (the tune pairs "
            f"and a repair of each), got {max_calls}; raise it or switch the search off."
        )
    tried, table = candidates[: len(answers)], np.stack(answers)
    truth, everything = np.array([pair.grade for pair in tune]), np.ones(len(tune), dtype=bool)
    folds, grade_count = _folds([p.query_id for p in tune], n_folds, seed), judge.policy.grade_count
    return PromptSearch(
        best=tried[_winner(table, truth, everything, grade_count)],
        honest_kappa=_held_out_kappa(table, truth, folds, grade_count),
        scores=[
            PromptScore(
                prompt, _kappa(row, truth, everything, grade_count), int(np.isnan(row).sum())
            )
            for prompt, row in zip(tried, table, strict=True)
        ],
        calls=calls,
        looks=table.size,
        untried=tuple(prompt.name for prompt in candidates[len(tried) :]),
    )


def _ask_candidates(
    judge: Judge, candidates: Sequence[Prompt], tune: Sequence[GoldenPair], max_calls: int
) -> tuple[list[npt.NDArray[np.float64]], int]:
    """Grades of the tune pairs by candidate, NaN where there is none, and the calls made."""
    grades: list[npt.NDArray[np.float64]] = []
    calls = 0
    for prompt in candidates:
        if calls + 2 * len(tune) > max_calls:
            break
        run = judge.with_prompt(prompt).label(requests_of(tune), max_quarantine_share=1.0)
        calls += run.progress.calls
        judged = by_pair(run)
        found = [judged.get(pair.request.pair_id) for pair in tune]
        grades.append(np.array([np.nan if j is None else j.grade for j in found]))
    return grades, calls


def _folds(query_ids: Sequence[str], n_folds: int, seed: int) -> npt.NDArray[np.int64]:
    """A fold per pair; all pairs of a query fall into one."""
    queries = sorted(set(query_ids))
    order = np.random.default_rng(seed).permutation(len(queries))
    fold_of = {queries[place]: number % n_folds for number, place in enumerate(order)}
    return np.array([fold_of[query_id] for query_id in query_ids])


def _held_out_kappa(
    table: npt.NDArray[np.float64],
    truth: npt.NDArray[np.int64],
    folds: npt.NDArray[np.int64],
    grade_count: int,
) -> float:
    """Kappa of the answers that each fold gets from the winner on the other folds."""
    held_out = np.full(len(truth), np.nan)
    for fold in np.unique(folds):
        inside = folds == fold
        held_out[inside] = table[_winner(table, truth, ~inside, grade_count), inside]
    return _kappa(held_out, truth, np.ones(len(truth), dtype=bool), grade_count)


def _winner(
    table: npt.NDArray[np.float64],
    truth: npt.NDArray[np.int64],
    rows: npt.NDArray[np.bool_],
    grade_count: int,
) -> int:
    """The candidate of the highest kappa on these rows; of equals the first."""
    kappas = [_kappa(row, truth, rows, grade_count) for row in table]
    if np.isnan(kappas).all():
        raise CookbookError(
            "Expected at least one prompt whose answers can be used, but each left too many pairs "
            "in quarantine or gave one grade throughout; read the raw texts in the journal."
        )
    return int(np.nanargmax(kappas))


def _kappa(
    grades: npt.NDArray[np.float64],
    truth: npt.NDArray[np.int64],
    rows: npt.NDArray[np.bool_],
    grade_count: int,
) -> float:
    answered = rows & ~np.isnan(grades)
    if answered.sum() < (1 - _MOST_UNANSWERED) * rows.sum() or not answered.any():
        return float("nan")
    return weighted_kappa(grades[answered], truth[answered], grade_count)
