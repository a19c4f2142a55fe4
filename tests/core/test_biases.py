"""Biases: edits are read and push nothing out; verdicts are about size, not sign."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.core.biases import (
    BIASES,
    FILLER,
    NOT_COMPARED,
    NOT_MEASURED,
    ORDER,
    PLAIN,
    REFERENCE,
    bias_figures,
    edited_inputs,
    edited_texts,
    relevance_shifts,
)
from tasks.core.inputs import PairText
from tasks.core.training.scorer import grade_probabilities, relevance
from tasks.core.training.tokens import token_ids, tokenize
from tests.core.training.tiny import FAMILIES, lively_scorer, pairs_of, tiny_scorer

# Longer than any scorer here reads: an edit behind it would be cut off.
LONG = PairText("night nurse | a member of long standing " * 20, "Nurse wanted in Lisbon. " * 200)


def _reading(source, max_tokens):
    scorer = lively_scorer(source)
    scorer.template = replace(scorer.template, max_tokens=max_tokens)
    return scorer


def figures(shifts, *, n_resamples):
    """Of candidates each of another query."""
    n_pairs = max(len(values) for one in shifts.values() for values in one.values())
    return bias_figures(shifts, [f"q{n:02}" for n in range(n_pairs)], n_resamples=n_resamples)


def against(taught, tier, *, n_resamples):
    """A tier's length bias beside that of the judge."""
    found = figures({"judge": taught, "student": tier}, n_resamples=n_resamples)
    return found["student"]["length"]


def _encoded(scorer, text):
    return next(token_ids(scorer.tokenizer, [text], add_special_tokens=False))


@pytest.mark.parametrize("source", FAMILIES)
@pytest.mark.parametrize("max_tokens", [48, 1024])
def test_an_edit_is_read_whole_or_in_part_and_nothing_else_changes(source, max_tokens) -> None:
    scorer = _reading(source, max_tokens)
    inputs = edited_inputs(scorer, [LONG], ["night nurse"])
    plain, left = inputs.plain.token_ids[0].tolist(), int(inputs.plain.left_lengths[0])
    texts = dict(zip(BIASES, (FILLER, "night nurse " * 3, ORDER), strict=True))
    longest = 0
    for bias, text in texts.items():
        edited = inputs.by_bias[bias].token_ids[0].tolist()
        added = len(edited) - len(plain)
        longest = max(longest, added)
        assert 0 < added <= max_tokens // 3
        assert edited[:left] + edited[left + added :] == plain
        assert edited[left : left + added] == _encoded(scorer, text)[:added]
        if max_tokens == 1024:
            assert added == len(_encoded(scorer, text))
    # Beside the longest edit the pair is read as far as it fits, and no further.
    assert len(plain) + longest == max_tokens


def test_an_edit_stands_before_the_candidate_whoever_shares_its_left_side() -> None:
    """64 byte tokens, 12 of them the template's and 17 the edit's: 35 for both sides.

    "Nurse." leaves 29 to the left side, "Nurse in Lisbon" 20, and 20 is what the two share.
    """
    scorer = _reading("random_decoder", 64)
    left = "night nurse | a member of long standing"
    pairs = [PairText(left, "Nurse."), PairText(left, "Nurse in Lisbon")]
    inputs = edited_inputs(scorer, pairs, ["nurse"] * 2)
    decode, edited = scorer.tokenizer.decode, inputs.by_bias["keyword_stuffing"]
    assert [decode(ids) for ids in edited.token_ids] == [
        "Q: night nurse | a member of lon\nnurse nurse nurseNurse. Grade: ",
        "Q: night nurse | a memb\nnurse nurse nurseNurse in Lisbon Grade: ",
    ]
    # Packed passes go on reading what the two share but once.
    shared = [len("Q: night nurse | a memb")] * 2
    assert edited.left_lengths.tolist() == inputs.plain.left_lengths.tolist() == shared


@pytest.mark.parametrize("source", FAMILIES)
def test_company_changes_no_shift(source) -> None:
    scorer = _reading(source, 64)
    pairs = [PairText(LONG.left, text) for text in ("Nurse.", "Nurse in Lisbon", LONG.right)]
    together = relevance_shifts(scorer, pairs, ["nurse"] * 3)
    for row, pair in enumerate(pairs):
        alone = relevance_shifts(scorer, [pair], ["nurse"])
        for bias in BIASES:
            assert together[bias][row] == pytest.approx(alone[bias][0], abs=1e-5)


@pytest.mark.parametrize("source", FAMILIES)
def test_long_candidates_are_shifted_by_every_edit(source) -> None:
    scorer = _reading(source, 48)
    shifts = relevance_shifts(scorer, [LONG, *pairs_of(3)], ["night nurse"] * 4)
    for bias in BIASES:
        assert (np.abs(shifts[bias]) > 1e-6).all(), bias


def test_shifts_are_the_edited_relevance_less_the_original() -> None:
    scorer, pairs = _reading("random_encoder", 300), pairs_of(5)
    queries = [pair.left for pair in pairs]
    shifts = relevance_shifts(scorer, pairs, queries)

    def scored(pairs):
        logits = scorer.logits_of_tokens(tokenize(scorer.tokenizer, scorer.template, pairs))
        return relevance(grade_probabilities(logits, 3))

    added = ([FILLER] * 5, [f"{query} " * 3 for query in queries], [ORDER] * 5)
    texts = dict(zip(BIASES, added, strict=True))
    for bias, edits in texts.items():
        written = [PairText(p.left, e + p.right) for p, e in zip(pairs, edits, strict=True)]
        assert shifts[bias] == pytest.approx(scored(written) - scored(pairs), abs=1e-5)
        assert np.abs(shifts[bias]).max() > 1e-3


def test_where_the_template_leaves_no_room_nothing_is_claimed() -> None:
    scorer, pairs = tiny_scorer("random_encoder"), pairs_of(4)
    scorer.template = replace(scorer.template, max_tokens=5)  # two tokens beside its own three
    shifts = relevance_shifts(scorer, pairs, [pair.left for pair in pairs])
    by_role = {"judge": shifts, "student": shifts}
    every = [one for tier in figures(by_role, n_resamples=50).values() for one in tier.values()]
    assert len(every) == 2 * len(BIASES)
    for found in every:
        assert found["verdict"] == NOT_MEASURED
        assert (found["value"], found["n"], found["read_share"]) == (None, 0, 0.0)


def test_a_mean_is_of_all_that_a_tier_read_and_a_verdict_of_what_both_did() -> None:
    """The tier's mean is (0.5 + 0.7 - 1.2) / 3 = 0; of the two that both read, 0.6 beside 0.2."""
    taught = {"length": np.array([0.2, 0.2, np.nan, 0.8])}
    tier = {"length": np.array([0.5, 0.7, -1.2, np.nan])}
    by_role = figures({"judge": taught, "student": tier}, n_resamples=50)
    found, judge = by_role["student"]["length"], by_role["judge"]["length"]
    assert found["value"] == pytest.approx(0.0)
    assert (found["n"], found["read_share"], found["verdict"]) == (3, 0.75, "grows")
    assert judge["value"] == pytest.approx(0.4)
    assert (judge["n"], judge["read_share"], judge["verdict"]) == (3, 0.75, REFERENCE)


def test_where_the_judge_answered_nothing_the_policy_teacher_is_the_reference() -> None:
    """Of that bias alone: a provider's filter may refuse every text that gives orders."""
    length, order = BIASES[0], BIASES[2]
    of = {
        role: {length: np.full(9, 0.3), order: np.full(9, shift)}
        for role, shift in (("judge", np.nan), ("policy_teacher", 0.2), ("student", 0.1))
    }
    of["judge"][length] = np.full(9, 0.5)
    found = figures(of, n_resamples=50)
    assert [one[order]["verdict"] for one in found.values()] == [NOT_MEASURED, REFERENCE, "shrinks"]
    assert [one[length]["verdict"] for one in found.values()] == [REFERENCE, "shrinks", "shrinks"]
    assert (found["judge"][order]["value"], found["judge"][order]["read_share"]) == (None, 0.0)
    for role, shift in (("policy_teacher", 0.2), ("student", 0.1)):
        one = found[role][order]
        assert (one["value"], one["low"], one["high"]) == pytest.approx((shift,) * 3)
        assert (one["n"], one["read_share"]) == (9, 1.0)


def test_what_shares_no_candidate_with_a_reference_is_not_compared() -> None:
    nobody, apart = np.full(2, np.nan), np.array([np.nan, 0.3])
    for taught in (nobody, np.array([0.2, np.nan])):
        found = against({"length": taught}, {"length": apart}, n_resamples=50)
        assert found["value"] == pytest.approx(0.3)
        assert (found["n"], found["read_share"], found["verdict"]) == (1, 0.5, NOT_COMPARED)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_verdict_is_about_the_size_of_what_was_taught(sign: float) -> None:
    noise = np.random.default_rng(0).normal(scale=0.01, size=60)
    taught = {"length": sign * (0.2 + noise)}
    for factor, verdict in ((2.0, "grows"), (0.5, "shrinks"), (1.0, "keeps"), (-2.0, "grows")):
        tier = {"length": factor * taught["length"]}
        found = against(taught, tier, n_resamples=200)
        assert found["verdict"] == verdict
        assert found["value"] == pytest.approx(factor * taught["length"].mean())


def test_differences_within_chance_are_kept() -> None:
    generator = np.random.default_rng(1)
    taught = {"length": generator.normal(0.1, 0.3, 40)}
    tier = {"length": taught["length"] + generator.normal(0.0, 0.3, 40)}
    assert against(taught, tier, n_resamples=500)["verdict"] == "keeps"


def test_candidates_of_one_query_stand_or_fall_together() -> None:
    """Eight queries of five candidates: copies of a query's shift tell no more than it alone."""
    generator = np.random.default_rng(2)
    by_query = {"judge": np.full(8, 0.1), "student": generator.normal(0.15, 0.1, 8)}
    queries = [f"q{n}" for n in range(8)]
    alone = bias_figures(
        {role: {"length": one} for role, one in by_query.items()}, queries, n_resamples=400
    )
    copied = bias_figures(
        {role: {"length": np.tile(one, 5)} for role, one in by_query.items()},
        queries * 5,
        n_resamples=400,
    )
    assert alone["student"]["length"]["verdict"] == "keeps"
    for role, found in copied.items():
        assert found["length"] == pytest.approx(alone[role]["length"])
    apart = bias_figures(
        {role: {"length": np.tile(one, 5)} for role, one in by_query.items()},
        [f"q{n}" for n in range(40)],
        n_resamples=400,
    )
    assert apart["student"]["length"]["verdict"] == "grows"


def test_tiers_are_held_against_the_judge_or_else_against_the_policy_teacher() -> None:
    by_role = {
        name: {"length": np.full(9, shift)}
        for name, shift in (("judge", 0.4), ("policy_teacher", 0.2), ("student", 0.3))
    }

    def verdicts(names: tuple[str, ...]) -> list[str]:
        found = figures({name: by_role[name] for name in names}, n_resamples=50)
        return [found[name]["length"]["verdict"] for name in names]

    assert verdicts(("judge", "policy_teacher", "student")) == ["reference", "shrinks", "shrinks"]
    assert verdicts(("policy_teacher", "student")) == ["reference", "grows"]


@pytest.mark.parametrize("most_words", [None, 3])
def test_a_judge_gets_the_same_candidate_with_an_edit_behind_its_title(most_words) -> None:
    rest = "We seek a nurse for nights. | place: Lisbon"
    read = rest if most_words is None else "We seek a"
    texts = edited_texts(f"Night nurse | {rest}", "nurse", most_words=most_words)
    added = dict(zip(BIASES, (FILLER, "nurse " * 3, ORDER), strict=True))
    assert texts.pop(PLAIN) == f"Night nurse | {read}"
    assert texts == {bias: f"Night nurse | {edit}{read}" for bias, edit in added.items()}
    longest = edited_texts("Nurse", "word " * 90, most_words=most_words)["keyword_stuffing"]
    assert len(longest.split()) == len(f"Nurse | {FILLER}".split())
    assert edited_texts("Nurse", "word", most_words=most_words)[PLAIN] == "Nurse"
