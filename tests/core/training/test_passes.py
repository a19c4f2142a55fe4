"""Passes: every row once, none over the budget, rows that begin alike side by side."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.training.base_models import Source
from tasks.core.training.passes import Forward, packed_passes
from tasks.core.training.tokens import Tokenized
from tests.core.training.tiny import FAMILIES, pairs_of, tiny_scorer


def tokens_of(rows: list[tuple[int, int]]) -> Tokenized:
    """Rows by (query, tokens of the candidate); query q begins with q + 2 tokens of its own."""
    ids = [
        np.array([query] * (query + 2) + [99] * length, dtype=np.int32) for query, length in rows
    ]
    return Tokenized(ids, np.array([query + 2 for query, _ in rows], dtype=np.int64), False)


def slots_of(tokens: Tokenized, rows: npt.NDArray[np.int64]) -> int:
    heads = {tokens.token_ids[row][: tokens.left_lengths[row]].tobytes() for row in rows}
    own = sum(len(tokens.token_ids[row]) - tokens.left_lengths[row] for row in rows)
    return int(own + sum(len(head) // 4 for head in heads))


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30)), min_size=1, max_size=60),
    st.integers(1, 200),
)
def test_every_row_once_and_within_the_budget(rows: list[tuple[int, int]], slots: int) -> None:
    tokens = tokens_of(rows)
    passes = list(packed_passes(tokens, np.arange(len(rows)), slots))
    assert sorted(np.concatenate(passes)) == list(range(len(rows)))
    for one in passes:
        assert len(one) == 1 or slots_of(tokens, one) <= slots


def test_a_query_that_fits_is_not_torn_apart() -> None:
    """Five candidates of ten tokens and a beginning of two take 52 slots: one pass a query."""
    tokens = tokens_of([(0, 10)] * 5 + [(1, 10)] * 5 + [(2, 10)] * 5)
    shuffled = np.random.default_rng(0).permutation(15)
    passes = list(packed_passes(tokens, shuffled, 54))
    assert [sorted(one // 5) for one in passes] == [[0] * 5, [1] * 5, [2] * 5]


@pytest.mark.parametrize("source", FAMILIES)
@pytest.mark.parametrize("processes", [2, 4, 30])
def test_every_process_has_a_pass_where_rows_are_enough(source: Source, processes: int) -> None:
    """Sixteen candidates of one long query: counted by rows they would fit into one pass."""
    scorer = tiny_scorer(source)
    scorer.model.train()
    ids = [np.array([7] * 260 + [9] * (5 + n % 3), dtype=np.int32) for n in range(16)]
    tokens = Tokenized(ids, np.full(16, 260), scorer.tokenizer.cls_token_id is not None)
    plan = Forward(scorer.model, scorer.tokenizer).plan
    assert len(plan(tokens, np.arange(16), 100_000)) == 1
    passes = plan(tokens, np.arange(16), 100_000, at_least=processes)
    assert len(passes) >= min(processes, 16)
    assert sorted(np.concatenate(passes)) == list(range(16))


def test_no_rows_no_passes() -> None:
    assert list(packed_passes(tokens_of([]), np.zeros(0, dtype=np.int64), 10)) == []


def test_both_families_give_a_row_the_same_logits_in_any_company() -> None:
    pairs = pairs_of(9)
    for source in FAMILIES:
        scorer = tiny_scorer(source)
        tokens, forward = scorer.tokenize(pairs), Forward(scorer.model, scorer.tokenizer)
        with torch.inference_mode(), forward.attention():
            together = forward(forward.batch(tokens, np.arange(9), torch.device("cpu")))
            alone = [
                forward(forward.batch(tokens, np.array([row]), torch.device("cpu")))
                for row in range(9)
            ]
        torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)
