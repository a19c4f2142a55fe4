"""Queries made from documents by template, where no LLM is at hand to write them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tasks.core.retrieval.bm25 import words
from tasks.core.tables import Row
from tasks.core.text import normalize_query

MAX_ATTRIBUTE_WORDS = 4
MIN_ATTRIBUTE_DOCUMENTS = 3


def generate_queries(documents: Sequence[Row], *, count: int, seed: int) -> list[str]:
    """About ``count`` different queries, in an order that the seed decides.

    Searchers type few words: the head of a title, its tail, a value that many documents
    share (a kind, a maker, a place), or two of these together.
    """
    generator = np.random.default_rng(seed)
    shared = _shared_values(documents)
    queries: dict[str, str] = {}
    for index in generator.permutation(len(documents)):
        if len(queries) >= count:
            break
        query = _one_query(documents[index], shared, generator)
        if normalize_query(query):
            queries.setdefault(normalize_query(query), query)
    return list(queries.values())


def aim_at_kinds(
    queries: Sequence[str], kinds: Sequence[str], wanted: Mapping[str, int], *, count: int
) -> list[str]:
    """``count`` of the queries, those first whose kind is a hole.

    ``kinds`` are the queries' own; ``wanted`` maps a kind to how many queries of it are lacking.
    The others keep their order.
    """
    lacking = Counter(wanted)
    first: list[str] = []
    rest: list[str] = []
    for query, kind in zip(queries, kinds, strict=True):
        is_hole = lacking[kind] > 0
        lacking[kind] -= is_hole
        (first if is_hole else rest).append(query)
    return [*first, *rest][:count]


def _shared_values(documents: Sequence[Row]) -> set[str]:
    """Attribute values that enough documents share to be worth a search."""
    counts = Counter(value for document in documents for value in _values(document))
    return {value for value, count in counts.items() if count >= MIN_ATTRIBUTE_DOCUMENTS}


def _values(document: Row) -> list[str]:
    attributes = json.loads(document["attributes"] or "{}")
    return [
        value
        for value in attributes.values()
        if isinstance(value, str) and 0 < len(words(value)) <= MAX_ATTRIBUTE_WORDS
    ]


def _one_query(document: Row, shared: set[str], generator: np.random.Generator) -> str:
    title = words(document["title"])
    length = int(generator.integers(1, 5))
    head, tail = " ".join(title[:length]), " ".join(title[-length:])
    values = [value.lower() for value in _values(document) if value in shared]
    value = values[int(generator.integers(len(values)))] if values else head
    forms = (head, tail, value, f"{value} {' '.join(title[:2])}", f"{head} {value}")
    return forms[int(generator.choice(len(forms), p=[0.3, 0.1, 0.3, 0.15, 0.15]))]
