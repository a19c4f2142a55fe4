"""Guards which pairs get a label: each once, none that gives a golden answer away."""

import numpy as np
import pytest

from tasks.core.retrieval.bm25 import Bm25Index
from tasks.core.retrieval.candidates import (
    HARD_RANKS,
    NEAR_DUPLICATE_COSINE,
    CandidateCounts,
    block_leaks,
    find_candidates,
    without_repeats,
)
from tasks.core.text import pair_id

COUNTS = CandidateCounts(lexical=4, dense=5, hard_negatives=3, random_negatives=2)


def _unit(rows):
    rows = np.asarray(rows, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _query(text, **change):
    return {"query_id": f"id {text}", "query": text, "member_id": "", "source": ""} | change


def _at_cosine(cosine):
    """A unit vector at that cosine from the first axis."""
    return [cosine, np.sqrt(1 - cosine**2)]


@pytest.mark.parametrize(
    "copy", ["icu nurse", "ICU Nurse", "nurse icu", "nurse, ICU!", "icu\u200b nurse"]
)
def test_a_copy_of_a_golden_query_may_not_train(copy):
    """Vectors at right angles: the words alone must block it."""
    allowed = block_leaks([_query(copy)], _unit([[0, 1]]), ["icu nurse"], _unit([[1, 0]]))
    assert allowed.tolist() == [False]


def test_a_near_duplicate_may_not_train():
    near = [NEAR_DUPLICATE_COSINE + 0.01, NEAR_DUPLICATE_COSINE - 0.01]
    queries = [_query("intensive care nurse"), _query("ward nurse")]
    vectors = _unit([_at_cosine(cosine) for cosine in near])
    allowed = block_leaks(queries, vectors, ["icu nurse"], _unit([[1, 0]]))
    assert allowed.tolist() == [False, True]


def test_any_blocked_query_blocks_not_the_first_alone():
    queries = [_query("a"), _query("b")]
    allowed = block_leaks(queries, np.eye(2, dtype=np.float32), ["x", "y"], _unit([[1, 1], [0, 1]]))
    assert allowed.tolist() == [True, False]


def test_where_nothing_is_blocked_all_may_train():
    nothing = np.empty((0, 2), dtype=np.float32)
    assert block_leaks([_query("a")], _unit([[1, 0]]), [], nothing).tolist() == [True]


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    texts = [f"word{i % 7} word{i % 11}" for i in range(400)]
    doc_ids, doc_vectors = [f"d{i}" for i in range(400)], _unit(rng.normal(size=(400, 6)))
    queries = [_query(f"word{i} word{i + 1}") for i in range(5)]
    queries.append(_query("word3", source="generated_query", member_id="m1"))
    vectors = _unit(rng.normal(size=(6, 6)))

    def find(seed=0):
        index = Bm25Index(texts)
        return list(
            find_candidates(queries, vectors, doc_ids, doc_vectors, index, COUNTS, seed=seed)
        )

    return find, queries, vectors, doc_vectors


def test_each_pair_comes_once(found):
    rows = found[0]()
    assert len({row["pair_id"] for row in rows}) == len(rows)
    assert all(
        row["pair_id"] == pair_id(row["query_id"], row["member_id"], row["doc_id"]) for row in rows
    )


def test_each_query_gets_its_share(found):
    rows = found[0]()
    for query in found[1]:
        own = [row for row in rows if row["query_id"] == query["query_id"]]
        assert COUNTS.dense + COUNTS.hard_negatives <= len(own) <= 14


def test_the_nearest_documents_are_among_the_candidates(found):
    find, queries, vectors, doc_vectors = found
    for query, vector in zip(queries, vectors, strict=True):
        own = {row["doc_id"] for row in find() if row["query_id"] == query["query_id"]}
        nearest = np.argsort(-(doc_vectors @ vector))[: COUNTS.dense]
        assert {f"d{i}" for i in nearest} <= own


def test_hard_negatives_are_similar_but_past_what_fits(found):
    find, queries, vectors, doc_vectors = found
    ranks = []
    for query, vector in zip(queries[:5], vectors, strict=False):
        rank = np.argsort(np.argsort(-(doc_vectors @ vector)))
        ranks += [
            rank[int(row["doc_id"][1:])]
            for row in find()
            if row["query_id"] == query["query_id"] and row["source"] == "hard_negative"
        ]
    within = [HARD_RANKS[0] <= rank < HARD_RANKS[1] for rank in ranks]
    # Three of a query are drawn from these ranks; two more come from anywhere.
    assert sum(within) >= 5 * COUNTS.hard_negatives - 2
    assert min(ranks) >= COUNTS.dense


def test_scores_are_those_of_the_pair(found):
    find, _, vectors, doc_vectors = found
    row = find()[0]
    assert row["cosine"] == pytest.approx(
        float(doc_vectors[int(row["doc_id"][1:])] @ vectors[0]), abs=1e-6
    )
    assert row["bm25"] > 0


def test_a_generated_query_gives_its_pairs_their_source(found):
    sources = {row["source"] for row in found[0]() if row["member_id"] == "m1"}
    assert sources == {"generated_query"}
    others = {row["source"] for row in found[0]() if row["member_id"] == ""}
    assert others == {"retrieved", "hard_negative"}


def test_the_seed_decides_the_negatives(found):
    find = found[0]
    assert find() == find()
    assert find() != find(seed=1)


def test_a_made_query_that_repeats_an_earlier_one_is_dropped_and_traffic_is_not():
    queries = [
        _query("icu nurse"),
        _query("icu nurse again", source="generated_query"),
        _query("icu nurse asked twice"),
        _query("line cook", source="generated_query"),
        _query("line cook by words", source="generated_query"),
    ]
    near = _at_cosine(NEAR_DUPLICATE_COSINE + 0.01)
    vectors = _unit([[1, 0], near, near, [0, 1], [-1, 0]])
    firsts = np.array([0, 1, 2, 3, 3])
    assert without_repeats(queries, vectors, firsts).tolist() == [True, False, True, True, False]


def test_of_documents_that_are_nearly_the_same_a_query_gets_one():
    texts = ["nurse one", "nurse two", "nurse three", "cook"]
    vectors = _unit([[1, 0], [1, 0.1], [1, 0.2], [0, 1]])
    rows = list(
        find_candidates(
            [_query("nurse")],
            _unit([[1, 0]]),
            ["d0", "d1", "d2", "d3"],
            vectors,
            Bm25Index(texts),
            CandidateCounts(lexical=4, dense=4, hard_negatives=0, random_negatives=0),
            seed=0,
            firsts=np.array([0, 0, 2, 3]),
        )
    )
    assert sorted(row["doc_id"] for row in rows) == ["d0", "d2", "d3"]


def test_repeats_are_found_across_blocks_too(monkeypatch):
    """A reference that compares every two queries, one after the other."""
    generator = np.random.default_rng(0)
    vectors = _unit(generator.normal(size=(60, 3)))
    queries = [
        _query(str(n), source="generated_query" if n % 3 else "") for n in range(len(vectors))
    ]
    expected = []
    for place, row in enumerate(queries):
        near = [n for n in range(place) if expected[n] and vectors[n] @ vectors[place] >= 0.95]
        expected.append(not (near and row["source"]))
    assert not all(expected)
    monkeypatch.setattr("tasks.core.retrieval.candidates._BLOCK", 7)
    assert without_repeats(queries, vectors, np.arange(60)).tolist() == expected
