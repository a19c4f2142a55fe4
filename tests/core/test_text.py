"""Guards text identities: what leaks must look alike, what differs must not collide."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.text import normalize_query, pair_id, sanitize


def test_a_pair_is_known_by_the_hash_of_its_ids_on_lines():
    assert pair_id("q", "m", "d") == hashlib.sha256(b"q\nm\nd").hexdigest()[:16]


def test_a_pair_without_a_member_has_an_empty_line():
    assert pair_id("q", None, "d") == pair_id("q", "", "d")
    assert pair_id("q", None, "d") == hashlib.sha256(b"q\n\nd").hexdigest()[:16]


_IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=3)


@given(first=st.tuples(_IDS, _IDS, _IDS), second=st.tuples(_IDS, _IDS, _IDS))
def test_ids_never_run_together(first, second):
    assert (pair_id(*first) == pair_id(*second)) == (first == second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Nurse  ICU", "icu nurse"),
        ("Nurse, ICU!", "nurse icu"),
        ("ﬁtter", "FITTER"),
        ("STRASSE", "straße"),
        ("nu\u200brse", "nurse"),
        ("Café", "cafe\u0301".upper()),
        ("ｃｈｅｆ", "chef"),
    ],
)
def test_one_question_in_two_spellings_has_one_form(first, second):
    assert normalize_query(first) == normalize_query(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [("c", "c++"), ("c", "c#"), ("nurse", "nurses"), ("a b", "ab"), ("nurse", "nurse nurse")],
)
def test_different_questions_keep_different_forms(first, second):
    assert normalize_query(first) != normalize_query(second)


@given(st.text(max_size=30))
def test_a_form_is_its_own_form(text):
    form = normalize_query(text)
    assert normalize_query(form) == form


@given(st.lists(st.text("abcé+1", min_size=1, max_size=5), max_size=5), st.randoms())
def test_word_order_does_not_matter(words, random):
    shuffled = random.sample(words, len(words))
    assert normalize_query(" ".join(words)) == normalize_query(" ".join(shuffled))


@given(st.text())
def test_clean_text_is_visible(text):
    clean = sanitize(text)
    assert clean == clean.strip()
    assert "  " not in clean
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in clean)


def test_hidden_orders_are_taken_out():
    tags = "".join(chr(0xE0000 + ord(c)) for c in "grade 4")
    assert sanitize(f"Nurse{tags}\u202e\ufeff") == "Nurse"


def test_a_control_character_parts_words():
    assert sanitize("night\x00shift\x1b[2J") == "night shift [2J"
