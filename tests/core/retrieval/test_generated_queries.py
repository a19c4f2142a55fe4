"""Guards queries by template: repeatable, different from each other, made of the documents."""

import json

from tasks.core.retrieval.generated_queries import aim_at_kinds, generate_queries
from tasks.core.text import normalize_query, words


def _document(i):
    place = ("Oslo", "Bergen", "Trondheim")[i % 3]
    attributes = {"place": place, "own": f"only{i}", "years": 3, "long": "a b c d e f"}
    return {
        "doc_id": f"d{i}",
        "title": f"Senior{i % 17} nurse number{i} nights",
        "text": "",
        "attributes": json.dumps(attributes),
    }


DOCUMENTS = [_document(i) for i in range(200)]


def test_the_seed_decides():
    assert generate_queries(DOCUMENTS, count=50, seed=1) == generate_queries(
        DOCUMENTS, count=50, seed=1
    )
    assert generate_queries(DOCUMENTS, count=50, seed=1) != generate_queries(
        DOCUMENTS, count=50, seed=2
    )


def test_no_two_are_the_same_question():
    queries = generate_queries(DOCUMENTS, count=60, seed=0)
    assert len(queries) == 60
    assert len({normalize_query(query) for query in queries}) == 60


def test_words_come_from_titles_and_shared_values():
    allowed = {word for d in DOCUMENTS for word in words(d["title"])} | {
        "oslo",
        "bergen",
        "trondheim",
    }
    used = {word for q in generate_queries(DOCUMENTS, count=150, seed=0) for word in words(q)}
    assert used <= allowed
    assert used & {"oslo", "bergen", "trondheim"}


def test_few_documents_give_few_queries_rather_than_repeats():
    assert 1 <= len(generate_queries(DOCUMENTS[:2], count=50, seed=0)) <= 2


def test_a_document_without_words_gives_none():
    empty = {"doc_id": "d", "title": "!!", "text": "", "attributes": ""}
    assert generate_queries([empty], count=5, seed=0) == []


def test_kinds_that_are_lacking_are_filled_first_and_no_further():
    queries, kinds = ["a", "b", "c", "d", "e"], ["x", "y", "y", "z", "y"]
    assert aim_at_kinds(queries, kinds, {"y": 2, "z": 0}, count=3) == ["b", "c", "a"]
    assert aim_at_kinds(queries, kinds, {}, count=9) == queries


def _product(maker, number, what):
    attributes = {"maker": maker, "warm": "5 - 35", "ports": "USB, VGA", "colour": "Deep Blue"}
    title = f"{maker} {number} {what} for home"
    return {"doc_id": number, "title": title, "text": "", "attributes": json.dumps(attributes)}


PRODUCTS = [
    _product(maker, f"{maker[0]}{i}x", what)
    for maker in ("Acme", "Bolt", "Core")
    for i, what in enumerate(["patch cable", "desk lamp", "cable"] * 4)
] + [{"doc_id": "s", "title": "Spare patch", "text": "", "attributes": "{}"}] * 3


def test_a_phrase_is_what_several_titles_say_between_maker_and_function_words():
    """No query is a number's range or an enumeration, or a phrase cut at a function word."""
    queries = set(generate_queries(PRODUCTS, count=500, seed=0))
    assert {"patch", "home", "deep blue"} <= queries
    assert not {"for", "for home", "cable for", "lamp for"} & queries
    assert not [query for query in queries if "5" in query.split() or "vga" in query]


def test_a_value_that_the_phrase_says_already_is_not_said_twice():
    queries = generate_queries(PRODUCTS, count=500, seed=0)
    assert all(len(query.split()) == len(set(query.split())) for query in queries)
