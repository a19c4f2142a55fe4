"""What steps read of each other's artifacts: file names, and the rows each use may see.

Steps do not import each other; the flow alone composes them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tasks.core.retrieval.first_stage import retrieval_order
from tasks.core.store.artifacts import Artifact
from tasks.core.tables import Row, read_rows, read_table
from tasks.core.training.loop import Optimization
from tasks.core.training.scorer import CARD, Goal, goals_of
from tasks.machine import processes, splits_weights
from tasks.settings import TrainingSettings

AnyKey = TypeVar("AnyKey", str, tuple[str, str])
POLICY = "policy.md"
GOLDEN = "golden.parquet"
QUERIES = "queries.parquet"
WRITTEN = "written.parquet"
LOG = "impressions.parquet"
VECTORS = "document_vectors.parquet"
PAIRS = "pairs.parquet"
PEOPLE = "people_grades.parquet"
VERDICT, CANARIES = "verdict.json", "canaries.measured.json"
EMBEDDED_JUDGE = "embedded-minilm"
JUDGMENTS, CALLS = "judgments.parquet", "calls.measured.json"
# How the labels came about; the measured ones depend on what the journal already held.
SENT, COVERAGE, QUARANTINE = "sent.json", "coverage.json", "quarantine.parquet"
SUSPICIOUS = "suspicious.json"
POLICY_EDIT, RUNGS = "policy_edit.measured.json", "rungs.measured.json"
IMPRESSIONS, PROPENSITIES = "impressions.parquet", "propensities.json"
TRAINING_LOG = "training_log.parquet"
# Of each action the words of candidates that raise or lower it most.
TOP_WORDS = "top_words.json"
TRANSFER = "transfer.parquet"
SCORER = "scorer"
MIX, CONFLICTS, BIASES = "mix.json", "conflicts.json", "biases.json"
EFFECTS, PERSONALIZATION = "effects", "personalization.json"
# Raw logits of the rows of `personal_rows`, in their order; `personal` has the effects added in.
PERSONAL_SCORES = "scores.parquet"
LOGITS, CUTS, SPEED = "logits.parquet", "grade_cuts.json", "speed.measured.json"
LEDGER = "ledger.json"
JUDGE_SHIFTS = "judge_shifts.parquet"
FAIRNESS, TWIN_GRADES = "fairness.json", "twin_grades.parquet"
MITIGATION = "mitigation.json"
# What the student of both goals gains on those of one.
SINGLE_GOALS = "single_goals.json"
# Of gate pairs, in the order of `golden_rows`: the judge's grades; relevances of tiers by name.
GATE_GRADES, GATE_SCORES = "gate_grades.parquet", "gate_scores.parquet"
PROVENANCE = "provenance.json"
INTENTS = "intents.json"
# What says which texts make up a pair.
PAIR_COLUMNS = ("pair_id", "query_id", "query", "member_id", "doc_id")
# Share of the queries whose grades teach nothing: they calibrate.
CALIBRATION_SHARE = 0.1
# Pairs from which people alone say how single grades are spread.
ENOUGH_BY_PEOPLE = 200


@dataclass(frozen=True)
class Domain:
    """A domain's artifacts; None for what the user did not bring."""

    policy: Artifact
    golden: Artifact
    catalog: Artifact
    traffic: Artifact | None
    impressions: Artifact | None
    data_card: Artifact | None


def taught_goals(scorer: Artifact) -> tuple[Goal, ...]:
    """What a scorer was taught, by its card."""
    return goals_of(scorer.json(f"{SCORER}/{CARD}"))


def golden_rows(domain: Domain, split: str) -> list[Row]:
    """Golden rows of one split."""
    return [row for row in read_rows(domain.golden.file(GOLDEN)) if row["split"] == split]


def known_vectors(vectors: Artifact) -> dict[str, npt.NDArray[np.float32]]:
    """Embeddings of documents by doc_id."""
    table = read_table(vectors.file(VECTORS)).combine_chunks()
    flat = table["vector"].combine_chunks().flatten().to_numpy()
    return dict(zip(table["doc_id"].to_pylist(), flat.reshape(len(table), -1), strict=True))


def rows_to_edit(domain: Domain, most: int) -> list[Row]:
    """About so many gate pairs, evenly spread, that biases are measured on."""
    rows = golden_rows(domain, "gate")
    return rows[:: max(1, len(rows) // most)][:most]


def judged_rows(judgments: Artifact, use: str) -> list[Row]:
    """Judgments of one use: train or calibrate."""
    return [row for row in read_rows(judgments.file(JUDGMENTS)) if row["use"] == use]


def use_of(query_id: str) -> str:
    """Every graded pair of a query has one use, so that calibration sees queries nobody learned."""
    share = int(hashlib.sha256(f"use:{query_id}".encode()).hexdigest()[:8], 16) / 2**32
    return "calibrate" if share < CALIBRATION_SHARE else "train"


def graded_rows(judgments: Artifact, people: Artifact | None, *, most: int) -> list[Row]:
    """At most so many rows that teach relevance, each with its weight: the judge's, then people's.

    A pair that both graded has the grade of people, and a cut falls on the judge's first.
    """
    graded = {row["pair_id"]: row for row in graded_by_people(people, "train")}
    judged = [row for row in judged_rows(judgments, "train") if row["pair_id"] not in graded]
    kept = judged[: max(0, most - len(graded))]
    return [*({**row, "weight": 1.0} for row in kept), *[*graded.values()][:most]]


def calibrating_rows(judgments: Artifact, people: Artifact | None) -> list[Row]:
    """Graded rows that taught nothing: people's where these are many, else the judge's as well."""
    graded = graded_by_people(people, "calibrate")
    if len(graded) >= ENOUGH_BY_PEOPLE:
        return graded
    known = {row["pair_id"] for row in graded}
    judged = judged_rows(judgments, "calibrate")
    return [*(row for row in judged if row["pair_id"] not in known), *graded]


def graded_by_people(people: Artifact | None, use: str) -> list[Row]:
    """Pairs of one use that people graded, as certain as a grade can be; none without people."""
    rows = read_rows(people.file(PEOPLE)) if people else []
    certain = {"probabilities": None, "rationale": ""}
    return [{**row, **certain} for row in rows if row["use"] == use]


def shown_rows(impressions: Artifact | None, use: str) -> list[Row]:
    """Impressions of one use; none where the domain has no log."""
    if impressions is None:
        return []
    return [row for row in read_rows(impressions.file(IMPRESSIONS)) if row["use"] == use]


def personal_rows(impressions: Artifact) -> tuple[list[Row], list[Row]]:
    """Impressions that effects are fitted on, and later ones of members among these."""
    fitting = [row for row in shown_rows(impressions, "personalize") if row["member_id"]]
    members = {row["member_id"] for row in fitting}
    later = [row for row in shown_rows(impressions, "later") if row["member_id"] in members]
    return fitting, later


def distributions(rows: list[Row], grade_count: int) -> npt.NDArray[np.float64]:
    """Grade distributions, shape (rows, grades): the judge's, or all weight on its grade."""
    certain = np.eye(grade_count)
    return np.array([row["probabilities"] or certain[row["grade"]] for row in rows])


def list_numbers(keys: Sequence[AnyKey]) -> npt.NDArray[np.int64]:
    """The number of each row's list, from 0, by the order of the lists' keys."""
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)


def asking_numbers(rows: Sequence[Row]) -> npt.NDArray[np.int64]:
    """The number of each row's list, from 0: what one member was offered for one query.

    A log may give one query_id to all members who type the same words; a list of candidates is
    compared within itself, and what fits one member says nothing of what fits another.
    """
    return list_numbers([(row["query_id"], row["member_id"] or "") for row in rows])


def order_of(rows: Sequence[Row]) -> npt.NDArray[np.float64]:
    """What first-stage retrieval said of each row, (rows,); NaN where it was not asked."""
    return retrieval_order(
        np.array([row["cosine"] for row in rows], dtype=np.float64),
        np.array([row["bm25"] for row in rows], dtype=np.float64),
        asking_numbers(rows),
    )


def optimization(settings: TrainingSettings, *, has_log: bool = True) -> Optimization:
    """The core's form of a role's training, with the passes of a domain with or without a log."""
    taken = settings.model_dump(exclude={"max_rows", "epochs_without_log"})
    if not has_log and settings.epochs_without_log is not None:
        taken["epochs"] = settings.epochs_without_log
    return Optimization(**taken, processes=processes(), split_weights=splits_weights())
