"""Tokens: the right side alone gives way, the suffix always stays, padding is never seen."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import CookbookError
from tasks.core.inputs import InputTemplate, PairText
from tasks.core.training import tokens
from tasks.core.training.base_models import Source, byte_tokenizer
from tasks.core.training.shared_prefix import distinct_heads
from tasks.core.training.tokens import Tokenized, chunks_by_tokens, pad, tokenize
from tests.core.training.tiny import FAMILIES, lively_scorer, pairs_of, tiny_scorer

CAUSAL = InputTemplate(max_tokens=24, prefix="Q: ", suffix=" Grade: ")


def text_of(left: str, right: str, template: InputTemplate = CAUSAL) -> str:
    """What a causal model would read of a pair."""
    tokenizer = byte_tokenizer()
    ids = tokenize(tokenizer, template, [PairText(left, right)]).token_ids[0]
    assert len(ids) <= template.max_tokens
    return str(tokenizer.decode(ids))


def test_a_short_pair_is_prefix_left_newline_right_suffix() -> None:
    assert text_of("pilot", "jet") == "Q: pilot\njet Grade: "


def test_only_the_right_side_is_cut() -> None:
    """12 of the 24 byte tokens are the template's; 'pilot' takes 5, so 7 are the candidate's."""
    assert text_of("pilot", "a candidate of many words") == "Q: pilot\na candi Grade: "


def test_a_long_left_side_leaves_half_of_the_room_to_the_candidate() -> None:
    assert text_of("a query without end", "candidates") == "Q: a quer\ncandid Grade: "


def test_a_long_left_side_may_use_what_the_candidate_leaves() -> None:
    assert text_of("a query without end", "jet") == "Q: a query w\njet Grade: "


@given(left=st.text("ab é", max_size=40), right=st.text("xy é", max_size=40))
@settings(max_examples=50)
def test_the_suffix_survives_every_pair(left: str, right: str) -> None:
    assert text_of(left, right).endswith(" Grade: ")


def test_a_template_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(CookbookError, match="own 12 tokens; max_tokens is 13"):
        tokenize(byte_tokenizer(), InputTemplate(13, prefix="Q: ", suffix=" Grade: "), pairs_of(1))


def read_once(tokens: Tokenized) -> int:
    """Tokens that packed passes compute where all rows lie in one."""
    heads, _ = distinct_heads(tokens, np.arange(len(tokens)))
    return sum(map(len, heads)) + int((tokens.lengths - tokens.left_lengths).sum())


def test_candidates_of_unlike_lengths_share_a_beginning_that_is_cut_for_each() -> None:
    """The template takes 8 of 512 tokens: 309 to 354 of the query's 400 stay, 309 for all."""
    template = InputTemplate(512, prefix="Q: ", suffix="?  ?")
    pairs = [PairText("q" * 400, "c" * length) for length in range(150, 200, 5)]
    tokens = tokenize(byte_tokenizer(), template, pairs)
    heads, _ = distinct_heads(tokens, np.arange(10))
    assert [len(head) for head in heads] == [len("Q: ") + 309]
    assert read_once(tokens) == 312 + 10 * 200


def test_one_long_candidate_does_not_take_the_others_beginning() -> None:
    """Its query is cut to 252 tokens; the nine others would each read 148 of theirs again."""
    template = InputTemplate(512, prefix="Q: ", suffix="?  ?")
    pairs = [PairText("q" * 400, "c" * length) for length in [50] * 9 + [400]]
    heads, owners = distinct_heads(tokenize(byte_tokenizer(), template, pairs), np.arange(10))
    assert [len(head) for head in heads] == [404, 256]
    assert owners.tolist() == [0] * 9 + [1]


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from(["ab" * 9, "cd" * 20, "b"]), st.text("xy", max_size=40)),
        min_size=1,
        max_size=20,
    )
)
def test_company_changes_no_token_and_sharing_never_costs_any(texts: list[tuple[str, str]]) -> None:
    pairs = [PairText(*text) for text in texts]
    tokens = tokenize(byte_tokenizer(), CAUSAL, pairs)
    alone = [tokenize(byte_tokenizer(), CAUSAL, [pair]) for pair in pairs]
    assert [row.tolist() for row in tokens.token_ids] == [
        one.token_ids[0].tolist() for one in alone
    ]
    own_heads = np.concatenate([one.left_lengths for one in alone])
    assert (tokens.left_lengths <= own_heads).all()
    assert read_once(tokens) <= read_once(Tokenized(tokens.token_ids, own_heads, False))


@pytest.mark.parametrize("max_tokens", [32, 9])
def test_an_encoders_segments_are_each_rows_own(max_tokens: int) -> None:
    tokenizer = tiny_scorer("random_encoder").tokenizer
    pairs = [PairText("flight nurse on a rescue helicopter", "nurse " * n) for n in range(1, 8)]
    together = tokenize(tokenizer, InputTemplate(max_tokens), pairs).left_lengths
    alone = [tokenize(tokenizer, InputTemplate(max_tokens), [p]).left_lengths[0] for p in pairs]
    assert together.tolist() == alone


@pytest.mark.parametrize("max_tokens", [32, 9])
def test_an_encoders_input_is_what_its_own_tokenizer_makes_of_two_texts(max_tokens: int) -> None:
    """Another engine that is given the two texts must see the same ids and segments."""
    scorer = tiny_scorer("random_encoder")
    pair = PairText("flight nurse", "nurse on a rescue helicopter, unpredictable hours")
    ours = pad(
        tokenize(scorer.tokenizer, InputTemplate(max_tokens), [pair]),
        np.array([0]),
        scorer.tokenizer,
        torch.device("cpu"),
    )
    theirs = scorer.tokenizer(
        pair.left, pair.right, truncation="only_second", max_length=max_tokens, return_tensors="pt"
    )
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("source", FAMILIES)
def test_padding_never_changes_logits(source: Source) -> None:
    scorer, pairs = lively_scorer(source), pairs_of(12)
    assert len(set(scorer.tokenize(pairs).lengths)) > 3
    together = scorer.logits(pairs, tokens_per_batch=100_000)
    alone = np.concatenate([scorer.logits([pair]) for pair in pairs])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.ptp(alone, axis=0).min() > 1e-2  # pairs differ, or equality would be empty


@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=50), budget=st.integers(10, 200))
def test_chunks_hold_each_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    array = np.array(lengths)
    chunks = list(chunks_by_tokens(array, budget))
    assert sorted(np.concatenate(chunks).tolist()) == list(range(len(lengths)))
    for chunk in chunks:
        assert len(chunk) == 1 or len(chunk) * array[chunk].max() <= budget


def test_rows_of_like_length_share_a_chunk() -> None:
    """Ten short and two long rows: 2 x 50 and 10 x 5 slots, not 12 x 50."""
    lengths = np.array([5, 5, 50, 5, 5, 5, 5, 50, 5, 5, 5, 5])
    chunks = [sorted(chunk.tolist()) for chunk in chunks_by_tokens(lengths, 100)]
    assert chunks[0] == [2, 7]
    assert sum(len(chunk) * lengths[chunk].max() for chunk in chunks) == 150


def test_taken_rows_keep_their_tokens_and_segments() -> None:
    scorer = tiny_scorer("random_encoder")
    all_rows = scorer.tokenize(pairs_of(6))
    taken = all_rows.take(np.array([4, 1]))
    assert [ids.tolist() for ids in taken.token_ids] == [
        all_rows.token_ids[4].tolist(),
        all_rows.token_ids[1].tolist(),
    ]
    assert taken.left_lengths.tolist() == all_rows.left_lengths[[4, 1]].tolist()
    assert taken.segmented


def test_pairs_encoded_block_by_block_are_those_encoded_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = pairs_of(7)
    whole = tokenize(byte_tokenizer(), CAUSAL, pairs)
    monkeypatch.setattr(tokens, "_AT_ONCE", 3)
    blocks = tokenize(byte_tokenizer(), CAUSAL, pairs)
    assert [row.tolist() for row in blocks.token_ids] == [row.tolist() for row in whole.token_ids]
    assert blocks.left_lengths.tolist() == whole.left_lengths.tolist()


def test_each_text_is_encoded_once_however_many_pairs_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three queries and two documents make six pairs, and five texts to encode."""
    encoded: list[str] = []
    plain = tokens.token_ids

    def counted(tokenizer: Any, texts: Sequence[str], **options: Any) -> Iterator[list[int]]:
        encoded.extend(texts)
        return plain(tokenizer, texts, **options)

    monkeypatch.setattr(tokens, "token_ids", counted)
    pairs = [PairText(left, right) for left in ("a", "b", "c") for right in ("x", "y")]
    tokenize(tiny_scorer("random_encoder").tokenizer, InputTemplate(32), pairs)
    assert sorted(encoded) == ["a", "b", "c", "x", "y"]
