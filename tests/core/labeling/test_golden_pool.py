"""What people could grade: every query's documents, spread over kinds, close calls told apart."""

import json

from tasks.core.labeling.golden import sample_golden
from tasks.core.labeling.golden_pool import golden_pool
from tasks.core.tables import Row
from tasks.core.text import pair_id

PLACES = ("Lisbon", "Berlin", "Turin")
TITLES = ("Ward Nurse", "Night Nurse", "Line Cook", "Truck Driver")
DOCUMENTS: list[Row] = [
    {
        "doc_id": f"d{number}",
        "title": TITLES[number % 4],
        "text": f"{TITLES[number % 4]} wanted " + "again " * (number % 5),
        "attributes": json.dumps({"place": PLACES[number % 3]}),
    }
    for number in range(48)
]
MEMBERS: list[Row] = [{"member_id": "m1", "text": "Ward nurse, seven years."}]
QUERIES: list[Row] = [
    {"query_id": "q1", "query": "ward nurse", "member_id": "m1"},
    {"query_id": "q2", "query": "line cook", "member_id": "m1"},
    {"query_id": "q3", "query": "truck driver berlin", "member_id": "m1"},
    {"query_id": "q4", "query": "nurse lisbon", "member_id": ""},
]


def test_kinds_are_told_by_what_a_query_names_and_whether_it_fits_the_member() -> None:
    pool = golden_pool(QUERIES, DOCUMENTS, MEMBERS, per_query=5, sureness={})
    assert {one.query_id: one.kind for one in pool} == {
        "q1": "title, existing",
        "q2": "title, aspirational",
        "q3": "title+place, aspirational",
        "q4": "title+place",
    }


def test_without_a_judge_close_calls_are_in_the_middle_of_their_query() -> None:
    pool = golden_pool(QUERIES[:1], DOCUMENTS, MEMBERS, per_query=40, sureness={})
    known = [one.sureness for one in pool if one.sureness is not None]
    assert len(known) == len(pool)
    assert (min(known), max(known)) != (1.0, 1.0)
    assert all(0 <= value <= 1 for value in known)


def test_a_judges_doubt_decides_where_there_is_one() -> None:
    doubtful = pair_id("q1", "m1", "d0")
    pool = golden_pool(QUERIES[:1], DOCUMENTS, MEMBERS, per_query=40, sureness={doubtful: 0.3})
    assert [one.sureness for one in pool if one.sureness is not None] == [0.3]


def test_every_query_also_gets_documents_that_do_not_fit() -> None:
    pool = golden_pool(QUERIES[:1], DOCUMENTS, MEMBERS, per_query=3, sureness={}, seed=1)
    assert 3 < len(pool) <= 5
    assert len({one.doc_id for one in pool}) == len(pool)


def test_the_pool_feeds_the_sample() -> None:
    pool = golden_pool(QUERIES, DOCUMENTS, MEMBERS, per_query=6, sureness={})
    sample = sample_golden(pool, 16, max_per_query=4)
    assert len(sample) == 16
    assert {one.query_id for one in sample} == {"q1", "q2", "q3", "q4"}
