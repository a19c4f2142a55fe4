"""Which queries may get labels, in a first round or a second, and how many candidates each."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError
from tasks.core.retrieval.candidates import CandidateCounts, block_leaks, without_repeats
from tasks.core.retrieval.embeddings import Floats, TextEncoder
from tasks.core.retrieval.near_duplicates import first_of_their_kind
from tasks.core.tables import Row
from tasks.core.text import normalize_query
from tasks.settings import MixSettings, SynthesisSettings

# Tokens read of a query to tell whether it repeats a golden one, where no settings say.
QUERY_TOKENS = 64
# The split of tune queries that teach nothing: further students are chosen on them.
CHOICE = "choice"


def allowed_queries(
    queries: list[Row], golden: Sequence[Row], encoder: TextEncoder, settings: SynthesisSettings
) -> tuple[list[Row], Floats]:
    """Queries that may train and say something new, with their vectors."""
    allowed, vectors = free_of_leaks(queries, golden, encoder, max_tokens=settings.max_tokens)
    texts = [row["query"] for row in queries]
    firsts = first_of_their_kind(texts, at_least=settings.near_duplicate)
    kept = allowed & without_repeats(queries, vectors, firsts)
    return [row for row, free in zip(queries, kept, strict=True) if free], vectors[kept]


def with_choice(golden: Sequence[Row], mix: MixSettings, *, has_log: bool) -> list[Row]:
    """Golden rows, those of the tune queries that ``mix`` chooses on in a split of their own.

    A student that learned from them, by people or by the judge, would be chosen by what it has by
    heart. Copies of a query go together, and a query or more is kept, however few there are.
    Without a click log no student is chosen, and no query is kept for it.
    """
    share = mix.kept_share if has_log else 0.0
    forms = {normalize_query(row["query"]) for row in golden if row["split"] == "tune"}
    kept = set(sorted(forms, key=_choice_order)[: max(1, round(share * len(forms)))])
    return [
        {**row, "split": CHOICE}
        if share and row["split"] == "tune" and normalize_query(row["query"]) in kept
        else row
        for row in golden
    ]


def check_choice(golden: Sequence[Row]) -> None:
    """Pass if students can be chosen on what ``with_choice`` kept; told before a label is paid.

    Raises:
        CookbookError: no pair that it kept has a grade above 0, so that no order is better.
    """
    kept = [row for row in golden if row["split"] == CHOICE]
    if kept and not any(row["grade"] for row in kept):
        raise CookbookError(
            "Students are chosen by NDCG on tune queries that taught nothing, of which one has to "
            f"have a grade above 0; {len({row['query_id'] for row in kept})} such queries have "
            "none. Grade more tune queries, raise mix.tune_share, or empty mix.alphas, "
            "mix.conflicts and mix.reserve."
        )


def _choice_order(form: str) -> str:
    return hashlib.sha256(f"choice:{form}".encode()).hexdigest()


def free_of_leaks(
    queries: Sequence[Row], golden: Sequence[Row], encoder: TextEncoder, *, max_tokens: int
) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which queries neither are nor nearly repeat one that measures; and all their vectors.

    Queries that measure are those of gate and sealed, and of ``CHOICE``.
    """
    vectors = encoder.embed([row["query"] for row in queries], max_tokens=max_tokens)
    return may_teach(queries, vectors, golden, encoder, max_tokens=max_tokens), vectors


def may_teach(
    queries: Sequence[Row],
    vectors: Floats,
    golden: Sequence[Row],
    encoder: TextEncoder,
    *,
    max_tokens: int,
) -> npt.NDArray[np.bool_]:
    """As ``free_of_leaks``, of queries whose vectors are known."""
    blocked = sorted({row["query"] for row in golden if row["split"] != "tune"})
    barred = encoder.embed(blocked, max_tokens=max_tokens)
    return block_leaks(queries, vectors, blocked, barred)


def candidate_counts(settings: SynthesisSettings) -> CandidateCounts:
    """Candidates per query, as the settings say."""
    return CandidateCounts(
        settings.lexical_candidates,
        settings.dense_candidates,
        settings.hard_negatives,
        settings.random_negatives,
    )
