"""Guards the order of sentences: the most telling first, each word once, whoever wrote them."""

import math
import random

import pytest

from tasks.core import summaries
from tasks.core.summaries import most_telling_first, sentences, word_worths
from tasks.core.text import words

JOB = [
    "Come and work with us as a nurse.",
    "You bring triage and wound care.",
    "Flextime.",
    "You bring triage and wound care!",
    "A licence is required.",
]
WORTHS = {"triage": 3.0, "wound": 3.0, "care": 1.0, "flextime": 1.5, "licence": 6.0, "nurse": 2.0}


def test_a_word_tells_more_the_fewer_candidates_say_it_and_less_where_few_ask():
    candidates = ["icu nurse flextime", "nurse flextime", "Nurse flextime", "nurse, B-42"]
    found = word_worths(candidates, ["an ICU nurse", "icu icu", "ICU?"])
    # "nurse" is said by all, "b" and "42" by one candidate and no asker.
    assert found == {"icu": round(math.log(4), 3), "flextime": round(0.3 * math.log(4 / 3), 3)}


def test_what_one_or_two_members_say_cannot_be_told_from_the_worths():
    candidates = ["nurse hospice", *["nurse flextime"] * 3, "nurse"]
    alone = word_worths(candidates, ["nurse"])
    assert word_worths(candidates, ["nurse hospice flextime"] * 2) == alone


def test_a_rare_word_is_worth_no_more_than_one_of_four_hundred():
    candidates = ["icu", *["nurse"] * 9999]
    assert word_worths(candidates, ["icu"] * 3)["icu"] == 6.0


def test_words_are_counted_as_they_will_be_looked_up():
    """Split letters, soft hyphens and wide forms are one word, whoever writes which."""
    candidates = ["Pfle\u00adge im Cafe\u0301", "Ｐｆｌｅｇｅ im café", "x"]
    askers = ["pflege café", "cafe\u0301 pfle\u00adge", "Pflege, Café"]
    assert word_worths(candidates, askers) == dict.fromkeys(
        ["café", "pflege"], round(math.log(3 / 2), 3)
    )


def test_the_most_telling_come_first_and_what_was_said_tells_nothing_again():
    found = most_telling_first(JOB, "Nurse", WORTHS, most_words=99)
    # Per word and two more: licence 6 / 6, skills 7 / 8, flextime 1.5 / 3; the title's word 0.
    assert found == [JOB[4], JOB[1], JOB[2], JOB[0], JOB[3]]


def test_it_ends_where_no_more_can_be_read():
    assert most_telling_first(JOB, "", WORTHS, most_words=5) == [JOB[4], JOB[1]]
    assert most_telling_first(JOB, "", WORTHS, most_words=0) == []


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_greedy_choice_among_all_that_are_left(seed):
    """Against the plain form, which looks at every piece again at every turn."""
    draw = random.Random(seed)
    worths = {f"w{i}": draw.choice([0.0, 1.0, 2.0, 3.5]) for i in range(30)}
    pieces = [
        " ".join(draw.choices(list(worths), k=draw.randint(1, 8)))
        for _ in range(draw.randint(1, 40))
    ]
    told = " ".join(draw.choices(list(worths), k=3))
    known, left, expected = set(words(told)), list(pieces), []
    while left:
        gains = [
            sum(worths[w] for w in dict.fromkeys(words(piece)) if w not in known)
            / (len(words(piece)) + 2)
            for piece in left
        ]
        expected.append(left.pop(gains.index(max(gains))))
        known.update(words(expected[-1]))
    assert most_telling_first(pieces, told, worths, most_words=10_000) == expected


def test_the_order_of_writing_decides_nothing_but_ties():
    found = most_telling_first(JOB, "Nurse", WORTHS, most_words=11)
    for seed in range(10):
        shuffled = random.Random(seed).sample(JOB, len(JOB))
        again = most_telling_first(shuffled, "Nurse", WORTHS, most_words=11)
        assert [words(piece) for piece in again] == [words(piece) for piece in found]


def test_a_text_of_very_many_sentences_is_not_looked_through_at_every_turn(monkeypatch):
    looks = []
    real = summaries._density
    monkeypatch.setattr(summaries, "_density", lambda *one: looks.append(1) or real(*one))
    pieces = [f"a w{i}." for i in range(5000)]
    worths = {f"w{i}": 1 + i / 5000 for i in range(5000)}
    assert len(most_telling_first(pieces, "", worths, most_words=200)) == 100
    assert len(looks) < 3 * 5000


def test_no_room_stays_empty_where_marks_break_words():
    """In Hindi one word has several marks, at each of which ``words`` begins anew."""
    pieces = ["अनुभवी नर्स चाहिए।"] * 5
    assert len(most_telling_first(pieces, "", {"x": 1.0}, most_words=15)) == 5


def test_sentences_end_with_a_mark_or_a_line():
    text = "Night shifts. Pay: 3.5k!\n- Triage; care\n\n夜勤あり。駅近"
    assert sentences(text) == [
        "Night shifts.",
        "Pay: 3.5k!",
        "- Triage; care",
        "夜勤あり。",
        "駅近",
    ]
    assert sentences(" \n ") == []


def test_short_forms_end_no_sentence():
    text = "Min. 40k. At St. Mary, approx. 3 shifts. No U.S. Army. No CPA. 2 years, e.g. here."
    assert sentences(text) == [
        "Min. 40k.",
        "At St. Mary, approx. 3 shifts.",
        "No U.S. Army.",
        "No CPA.",
        "2 years, e.g. here.",
    ]


def test_what_stands_under_a_heading_stays_there():
    """Taken apart, what is not needed would read like what is."""
    text = """We care.
    Requirements:

    - Triage
    - Driving licence. A clean one.
    Not needed:
    German
    # Place
    Lisbon

    Apply. Now."""
    assert sentences(text) == [
        "We care.",
        "Requirements: - Triage - Driving licence. A clean one.",
        "Not needed: German",
        "# Place Lisbon",
        "Apply.",
        "Now.",
    ]
    found = most_telling_first(sentences(text), "", {"german": 9.0, "licence": 1.0}, most_words=9)
    assert found[0] == "Not needed: German"
