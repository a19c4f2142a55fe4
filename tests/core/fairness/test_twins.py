"""Guards the twins: they differ in the one thing, stand in front, and their gap is honest."""

import numpy as np
import pytest

from tasks.core.errors import CookbookError
from tasks.core.fairness.gaps import summarize
from tasks.core.fairness.twins import MOST_TEXTS, twin_draws, twins, unseen_twins

PLAIN = "Senior nurse in Leeds, 7 years. Skills: triage, wound care."


def _by_contrast(text):
    found = {}
    for twin in twins(text):
        found.setdefault(twin.contrast, []).append(twin)
    return found


def test_a_plain_text_gets_a_sentence_of_equal_shape_in_front():
    for twin in twins(PLAIN):
        for version in (twin.first, twin.second):
            assert version.endswith(PLAIN)
            assert version != PLAIN
        assert twin.first != twin.second


def test_every_contrast_is_told():
    assert set(_by_contrast(PLAIN)) == {
        "pronoun: she - he",
        "name: female - male",
        "name: Black - white",
        "employment gap: stated - none",
        "school: historically Black - other",
    }


def test_the_most_texts_that_a_judge_is_asked_about_are_those_of_a_plain_one():
    def texts(text):
        return len({version for twin in twins(text) for version in (twin.first, twin.second)})

    assert texts(PLAIN) == MOST_TEXTS
    assert texts(f"{PLAIN} No degree.") == MOST_TEXTS - 2


def test_pronouns_in_the_text_are_swapped_in_their_grammar():
    text = "She leads her team; we trust her. The plan is hers, made by herself. Mrs. Lee."
    (twin,) = _by_contrast(text)["pronoun: she - he"]
    assert twin.first == text
    assert twin.second == (
        "He leads his team; we trust him. The plan is his, made by himself. Mr. Lee."
    )


def test_masculine_pronouns_turn_feminine():
    text = "He leads his team; we trust him. The plan is his. Mr. Lee himself said so."
    (twin,) = _by_contrast(text)["pronoun: she - he"]
    assert twin.first == (
        "She leads her team; we trust her. The plan is hers. Ms. Lee herself said so."
    )
    assert twin.second == text


def test_words_that_merely_contain_a_pronoun_stay():
    (twin,) = _by_contrast("Theatre usher with heritage work.")["pronoun: she - he"]
    assert twin.first == "Pronouns: she/her. Theatre usher with heritage work."


def test_a_known_name_is_replaced_wherever_it_stands():
    text = "Emily Walsh, welder. Emily has ten years."
    for twin in _by_contrast(text)["name: Black - white"]:
        assert twin.first.count(twin.first.split()[0]) == 2
        assert twin.first.endswith("has ten years.")
        assert twin.first.replace(twin.first.split()[0], twin.second.split()[0]) == twin.second


def test_a_known_school_is_replaced():
    text = "Analyst. MBA, Howard University, 2015."
    (twin,) = _by_contrast(text)["school: historically Black - other"]
    assert twin.first.startswith("Analyst. MBA, ")
    assert twin.second.endswith(", 2015.")
    assert "Howard" not in twin.second


def test_a_person_without_a_degree_gets_no_school():
    assert "school: historically Black - other" not in _by_contrast(f"{PLAIN} No degree.")


def test_the_same_text_has_the_same_twins_and_texts_cover_the_names():
    assert twins(PLAIN) == twins(PLAIN)
    names = {twins(f"{PLAIN} {i}")[1].first.split(".")[0] for i in range(60)}
    assert names == {"Emily", "Anne", "Jill", "Allison", "Sarah", "Meredith", "Carrie"}


def test_the_gap_is_the_mean_difference_by_contrast():
    contrasts = ["a", "b", "a", "b"] * 30
    first, second = np.array([0.5, 0.2, 0.7, 0.2] * 30), np.array([0.4, 0.4, 0.4, 0.2] * 30)
    found = twin_draws("student", contrasts, first, second, np.repeat(np.arange(30), 4))
    assert [(d.name, d.group_pair, d.n_clusters) for d in found] == [
        ("twin_gap", "a", 30),
        ("twin_gap", "b", 30),
    ]
    assert [d.value for d in found] == pytest.approx([0.2, -0.1])


def test_a_planted_twin_gap_is_found_in_its_interval():
    rng = np.random.default_rng(0)
    base = rng.random(200)
    first = base + 0.03 + 0.05 * rng.normal(size=200)
    (draws,) = twin_draws("t", ["pronoun: she - he"] * 200, first, base, np.arange(200))
    found = summarize(draws)
    assert found.low < 0.03 < found.high
    assert found.p_value < 0.001


def test_sizes_do_not_cancel_where_signs_do():
    first, second = np.array([0.6, 0.4] * 20), np.full(40, 0.5)
    contrasts, clusters = ["a"] * 40, np.arange(40)
    (signed,) = twin_draws("t", contrasts, first, second, clusters)
    (size,) = twin_draws("t", contrasts, first, second, clusters, absolute=True)
    assert signed.value == pytest.approx(0.0)
    assert (size.name, size.value) == ("twin_absolute_gap", pytest.approx(0.1))


def test_twins_cut_off_before_their_difference_are_noticed():
    """A text longer than the model reads makes both twins one, and the gap a false zero."""
    assert unseen_twins(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.1, 0.2, 0.3, 0.5])) == 0.75


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(CookbookError, match="score both texts"):
        twin_draws("t", ["a"], np.ones(1), np.ones(2), np.arange(1))
