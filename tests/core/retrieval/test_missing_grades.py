"""A grade that nobody gave is looked for where retrieval promises it."""

import numpy as np

from tasks.core.retrieval.bm25 import Bm25Index
from tasks.core.retrieval.missing_grades import pairs_near_grades
from tasks.core.text import pair_id

# Document n has cosine n/40 with the only query, and no word of it.
DOC_IDS = [f"d{n}" for n in range(41)]
ANGLES = np.arccos(np.arange(41) / 40)
DOC_VECTORS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)
VECTORS = {"nurse": np.array([1, 0], np.float32)}
INDEX = Bm25Index([f"cook number{n}" for n in range(41)])


def label(doc: int, grade: int) -> dict[str, object]:
    return {
        "pair_id": pair_id("q", None, f"d{doc}"),
        "query_id": "q",
        "query": "nurse",
        "member_id": "",
        "doc_id": f"d{doc}",
        "grade": grade,
        "bm25": 0.0,
        "cosine": doc / 40,
    }


def find(labels: list[dict[str, object]], missing: set[int], count: int) -> list[str]:
    found = pairs_near_grades(labels, missing, VECTORS, DOC_IDS, DOC_VECTORS, INDEX, count=count)
    return [row["doc_id"] for row in found]


# Grades follow the cosine: 0 below a quarter, 4 at the top; the middle has no label.
LABELS = [label(doc, 0) for doc in (0, 1, 2)] + [label(doc, 4) for doc in (38, 39, 40)]


def test_a_missing_middle_grade_is_looked_for_in_the_middle() -> None:
    assert set(find(LABELS, {2}, 3)) == {"d19", "d20", "d21"}


def test_each_missing_grade_gets_its_own_band() -> None:
    first, second = find(LABELS, {1, 3}, 2)
    assert 7 <= int(first[1:]) <= 13
    assert 27 <= int(second[1:]) <= 33


def test_what_is_labeled_is_not_asked_for_again() -> None:
    assert "d20" not in find([*LABELS, label(20, 0), label(20, 4)], {2}, 3)


def test_nothing_missing_costs_nothing() -> None:
    assert find(LABELS, set(), 3) == []
    assert find([], {1}, 3) == []
