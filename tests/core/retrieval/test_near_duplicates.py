"""Near-duplicates by MinHash are those by exact Jaccard similarity."""

import numpy as np
import pytest

from tasks.core.retrieval.near_duplicates import first_of_their_kind, jaccard, shingles


def test_runs_of_three_words_by_hand() -> None:
    assert shingles("The night nurse works") == {"the night nurse", "night nurse works"}
    assert shingles("Nurse") == {"nurse"}


def test_similarity_by_hand() -> None:
    # 2 runs each, 1 in common: 1 / 3.
    assert jaccard(shingles("a b c d"), shingles("b c d e")) == pytest.approx(1 / 3)


def test_a_copy_points_to_the_first_and_not_to_a_copy() -> None:
    texts = ["a b c d", "x y z", "a b c d", "A B, C D!"]
    assert first_of_their_kind(texts, at_least=0.8).tolist() == [0, 1, 0, 0]


def test_minhash_finds_what_exact_similarity_finds() -> None:
    """300 texts of 40 words, each later one an earlier one with some words exchanged."""
    generator = np.random.default_rng(0)
    texts = [" ".join(map(str, generator.integers(0, 500, 40))) for _ in range(100)]
    for source in range(200):
        spoken = texts[source % 100].split()
        for place in generator.integers(0, 40, source % 6):
            spoken[place] = "other"
        texts.append(" ".join(spoken))
    found = first_of_their_kind(texts, at_least=0.7)
    sets = [shingles(text) for text in texts]
    exact = [
        next(n for n in range(place + 1) if n == place or jaccard(sets[n], sets[place]) >= 0.7)
        for place in range(len(texts))
    ]
    copies = [place for place, first in enumerate(exact) if first != place]
    assert len(copies) > 100
    # No false copy at all, and nearly none missed.
    assert all(jaccard(sets[place], sets[first]) >= 0.7 for place, first in enumerate(found))
    missed = sum(found[place] == place for place in copies)
    assert missed <= 0.02 * len(copies)
