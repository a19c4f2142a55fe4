"""Which queries may get labels, in a first round or a second, and how many candidates each."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.core.retrieval.candidates import CandidateCounts, block_leaks, without_repeats
from tasks.core.retrieval.embeddings import Floats, TextEncoder
from tasks.core.retrieval.near_duplicates import first_of_their_kind
from tasks.core.tables import Row
from tasks.settings import SynthesisSettings

# Tokens read of a query to tell whether it repeats a golden one, where no settings say.
QUERY_TOKENS = 64


def allowed_queries(
    queries: list[Row], golden: Sequence[Row], encoder: TextEncoder, settings: SynthesisSettings
) -> tuple[list[Row], Floats]:
    """Queries that may train and say something new, with their vectors."""
    allowed, vectors = free_of_leaks(queries, golden, encoder, max_tokens=settings.max_tokens)
    texts = [row["query"] for row in queries]
    firsts = first_of_their_kind(texts, at_least=settings.near_duplicate)
    kept = allowed & without_repeats(queries, vectors, firsts)
    return [row for row, free in zip(queries, kept, strict=True) if free], vectors[kept]


def free_of_leaks(
    queries: Sequence[Row], golden: Sequence[Row], encoder: TextEncoder, *, max_tokens: int
) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which queries neither are nor nearly repeat one of gate or sealed; and all their vectors."""
    blocked = sorted({row["query"] for row in golden if row["split"] != "tune"})
    vectors = encoder.embed([row["query"] for row in queries], max_tokens=max_tokens)
    barred = encoder.embed(blocked, max_tokens=max_tokens)
    return block_leaks(queries, vectors, blocked, barred), vectors


def candidate_counts(settings: SynthesisSettings) -> CandidateCounts:
    """Candidates per query, as the settings say."""
    return CandidateCounts(
        settings.lexical_candidates,
        settings.dense_candidates,
        settings.hard_negatives,
        settings.random_negatives,
    )
