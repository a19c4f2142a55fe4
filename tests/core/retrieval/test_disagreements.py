"""Hard negatives come from queries where retrieval promises what the judge denies."""

import numpy as np

from tasks.core.retrieval.bm25 import Bm25Index
from tasks.core.retrieval.disagreements import mine_disagreements, overestimates
from tasks.core.text import pair_id

DOCUMENTS = [f"nurse number{n}" if n < 20 else f"cook number{n}" for n in range(40)]
DOC_IDS = [f"d{n}" for n in range(40)]
DOC_VECTORS = np.array([[1, 0] if n < 20 else [0, 1] for n in range(40)], dtype=np.float32)
NURSE, COOK = np.array([1, 0], np.float32), np.array([0, 1], np.float32)


def row(query_id, query, doc, grade):
    """A label whose scores say 'a match' where the words match."""
    match = float(DOCUMENTS[doc].startswith(query))
    key = pair_id(query_id, None, f"d{doc}")
    return {
        "pair_id": key,
        "query_id": query_id,
        "query": query,
        "member_id": "",
        "doc_id": f"d{doc}",
        "grade": grade,
        "bm25": match,
        "cosine": match,
    }


# The judge likes what matches, but for the query "fooled".
LABELS = [
    row(name, query, doc, 0 if name == "fooled" else 4 * (DOCUMENTS[doc].startswith(query)))
    for name, query in (("q1", "nurse"), ("q2", "cook"), ("q3", "nurse"), ("fooled", "cook"))
    for doc in (0, 1, 2, 20, 21, 22)
]


def test_the_query_that_fools_the_model_stands_out():
    worst = overestimates(LABELS)
    assert max(worst, key=worst.__getitem__) == "fooled"
    assert worst["fooled"] > 2 > max(value for name, value in worst.items() if name != "fooled")


def mine(count, per_query):
    return mine_disagreements(
        LABELS,
        {"nurse": NURSE, "cook": COOK},
        DOC_IDS,
        DOC_VECTORS,
        Bm25Index(DOCUMENTS),
        count=count,
        per_query=per_query,
    )


def test_its_other_matches_are_mined_first_and_nothing_twice():
    rows = mine(count=5, per_query=5)
    assert {new["query_id"] for new in rows} == {"fooled"}
    assert all(DOCUMENTS[int(new["doc_id"][1:])].startswith("cook") for new in rows)
    assert not {new["pair_id"] for new in rows} & {label["pair_id"] for label in LABELS}
    assert {new["source"] for new in rows} == {"hard_negative"}


def test_no_query_gives_more_than_its_share():
    rows = mine(count=7, per_query=2)
    counts = [sum(new["query_id"] == name for new in rows) for name in ("fooled", "q1", "q2", "q3")]
    assert counts[0] == 2
    assert sorted(counts) == [1, 2, 2, 2]
