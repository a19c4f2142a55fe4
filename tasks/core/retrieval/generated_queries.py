"""Queries made from documents by template, where no LLM is at hand to write them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tasks.core.tables import Row
from tasks.core.text import normalize_query, words

MAX_VALUE_WORDS = 3
# Documents from which a phrase or a value counts as something that people search for.
MIN_DOCUMENTS = 3
# Titles read for phrases: enough to know the common ones, and little memory.
_TITLES = 10_000
# What a query is, with its share: the head of a title (a certain thing), a phrase (a kind of
# thing), a value, a phrase and a value, a head and a value.
_FORMS = {"head": 0.25, "phrase": 0.4, "value": 0.1, "phrase value": 0.15, "head value": 0.1}
# Words in a phrase, with their share: searchers type one or two.
_LENGTHS = {1: 0.4, 2: 0.45, 3: 0.15}


def generate_queries(documents: Sequence[Row], *, count: int, seed: int) -> list[str]:
    """About ``count`` different queries, in an order that the seed decides.

    Searchers type few words: what a thing is (a phrase that several titles share), a certain
    thing (the head of its title), a value that many documents share (a maker, a place), or two
    of these together.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(documents))
    phrases = _shared_phrases([words(documents[index]["title"]) for index in order[:_TITLES]])
    values = _shared_values(documents)
    queries: dict[str, str] = {}
    for index in order:
        if len(queries) >= count:
            break
        query = _one_query(documents[index], phrases, values, generator)
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


def _shared_phrases(titles: Sequence[Sequence[str]]) -> dict[str, int]:
    """Phrases that name a kind of thing, with how many first words stand before them.

    Titles often begin with a maker, so what follows many first words is what many make. A
    phrase begins and ends with words that titles begin or end with: "for" and "with" are none.
    """
    seen = {(title[0], phrase) for title in titles for phrase in _phrases(title)}
    openings = Counter(phrase for _, phrase in seen)
    counts = Counter(phrase for title in titles for phrase in set(_phrases(title)))
    outer = Counter(word for title in titles if title for word in {title[0], title[-1]})
    return {
        phrase: openings[phrase]
        for phrase, count in counts.items()
        if count >= MIN_DOCUMENTS
        and all(outer[word] >= MIN_DOCUMENTS for word in (phrase.split()[0], phrase.split()[-1]))
    }


def _phrases(title: Sequence[str]) -> list[str]:
    """Runs of up to three words that neither begin nor end with a number or a single letter."""
    return [
        " ".join(title[start : start + length])
        for length in _LENGTHS
        for start in range(len(title) - length + 1)
        if _is_word(title[start]) and _is_word(title[start + length - 1])
    ]


def _is_word(word: str) -> bool:
    return len(word) > 1 and not any(letter.isdigit() for letter in word)


def _shared_values(documents: Sequence[Row]) -> set[str]:
    """Attribute values that enough documents share to be worth a search."""
    counts = Counter(value for document in documents for value in _values(document))
    return {value for value, count in counts.items() if count >= MIN_DOCUMENTS}


def _values(document: Row) -> list[str]:
    """Values that a person might type: few words, no numbers, no enumerations."""
    attributes = json.loads(document["attributes"] or "{}")
    return [
        " ".join(words(value))
        for value in attributes.values()
        if isinstance(value, str)
        and 0 < len(words(value)) <= MAX_VALUE_WORDS
        and all(_is_word(word) for word in words(value))
        and not any(sign in value for sign in ",;/|(\\")
    ]


def _one_query(
    document: Row, phrases: Mapping[str, int], values: set[str], generator: np.random.Generator
) -> str:
    title = words(document["title"])
    head = " ".join(title[: int(generator.integers(1, 5))])
    shared = [value for value in _values(document) if value in values]
    parts = {
        "head": head,
        "phrase": _phrase(title, phrases, generator) or head,
        "value": shared[int(generator.integers(len(shared)))] if shared else "",
    }
    form = generator.choice(list(_FORMS), p=list(_FORMS.values()))
    said = [parts[part] for part in form.split() if parts[part]] or [head]
    # A value that the title already says would be said twice.
    return said[0] if said[-1] in said[0] else " ".join(said)


def _phrase(
    title: Sequence[str], phrases: Mapping[str, int], generator: np.random.Generator
) -> str:
    """One of the title's shared phrases; of equal length the commoner is likelier."""
    length = generator.choice(list(_LENGTHS), p=list(_LENGTHS.values()))
    own = sorted({phrase for phrase in _phrases(title) if phrase in phrases})
    fitting = [phrase for phrase in own if len(phrase.split()) == length] or own
    if not fitting:
        return ""
    weights = np.array([phrases[phrase] for phrase in fitting], dtype=np.float64)
    return fitting[int(generator.choice(len(fitting), p=weights / weights.sum()))]
