"""Which queries may get labels, in a first round or a second, and how many candidates each."""

from collections.abc import Sequence

from tasks.core.retrieval.candidates import CandidateCounts, block_leaks, without_repeats
from tasks.core.retrieval.embeddings import Floats, TextEncoder
from tasks.core.retrieval.near_duplicates import first_of_their_kind
from tasks.core.tables import Row
from tasks.settings import SynthesisSettings


def allowed_queries(
    queries: list[Row], golden: Sequence[Row], encoder: TextEncoder, settings: SynthesisSettings
) -> tuple[list[Row], Floats]:
    """Queries that may train and say something new, with their vectors."""
    blocked = sorted({row["query"] for row in golden if row["split"] != "tune"})
    texts = [row["query"] for row in queries]
    vectors = encoder.embed(texts, max_tokens=settings.max_tokens)
    allowed = block_leaks(
        queries, vectors, blocked, encoder.embed(blocked, max_tokens=settings.max_tokens)
    )
    firsts = first_of_their_kind(texts, at_least=settings.near_duplicate)
    kept = allowed & without_repeats(queries, vectors, firsts)
    return [row for row, free in zip(queries, kept, strict=True) if free], vectors[kept]


def candidate_counts(settings: SynthesisSettings) -> CandidateCounts:
    """Candidates per query, as the settings say."""
    return CandidateCounts(
        settings.lexical_candidates,
        settings.dense_candidates,
        settings.hard_negatives,
        settings.random_negatives,
    )
