"""Shared prefixes: the same scores and gradients for less work, and candidates never meet."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from tasks.core.inputs import PairText
from tasks.core.training import shared_prefix
from tasks.core.training.architecture import with_lora
from tasks.core.training.scorer import PairScorer
from tasks.core.training.shared_prefix import (
    distinct_heads,
    pack,
    shared_prefix_logits,
    sharing_prefixes,
)
from tasks.core.training.tokens import Tokenized
from tests.core.training.test_varlen import attend_in_one_call
from tests.core.training.tiny import lively_scorer, pairs_of

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
CPU = torch.device("cpu")
# Three queries of different length, four candidates each, and their rows out of order.
LEFTS = ("pilot", "a night nurse wanted", "actor or judge")
PAIRS = [PairText(left, pair.right) for left in LEFTS for pair in pairs_of(4, seed=len(left))]
ROWS = np.random.default_rng(0).permutation(12)


@pytest.fixture(autouse=True, params=[0, 8, -1], ids=["many calls", "few calls", "one call"])
def slack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows as short as these would attend in few calls; in one call, as on a card."""
    if request.param < 0:
        attend_in_one_call(monkeypatch)
    else:
        monkeypatch.setattr(shared_prefix, "SLACK", request.param)
    return int(request.param)


def shared(scorer: PairScorer, pairs: list[PairText] = PAIRS) -> Tensor:
    with sharing_prefixes(scorer.model):
        return shared_prefix_logits(scorer.model, pack(scorer.tokenize(pairs), ROWS, CPU))


def gradients(scorer: PairScorer, logits: Tensor) -> list[Tensor]:
    weights = torch.linspace(-1, 1, logits.numel()).view_as(logits)
    return list(torch.autograd.grad((logits * weights).sum(), list(scorer.model.parameters())))


def unshared(scorer: PairScorer) -> Tensor:
    """Each row alone, whole."""
    ids = [torch.from_numpy(scorer.tokenize(PAIRS).token_ids[row]).long()[None] for row in ROWS]
    return torch.cat([scorer.model(row).logits for row in ids])


def test_scores_equal_unshared_ones() -> None:
    scorer = lively_scorer("random_decoder")
    with torch.inference_mode():
        found, expected = shared(scorer), unshared(scorer)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert expected.std(dim=0).min() > 0.05


def test_scores_equal_unshared_ones_where_each_candidate_cuts_the_query_elsewhere() -> None:
    """A long member profile: the rows agree in their first tokens and in no whole left side."""
    scorer = lively_scorer("random_decoder")
    pairs = [PairText("nurse by night " * 4, "pilot" * 3 + "s" * length) for length in range(8)]
    tokens, rows = scorer.tokenize(pairs), np.arange(8)
    assert len({bytes(ids[: 48 - 14]) for ids in tokens.token_ids}) > 1
    assert len(distinct_heads(tokens, rows)[0]) == 1
    with torch.inference_mode(), sharing_prefixes(scorer.model):
        found = shared_prefix_logits(scorer.model, pack(tokens, rows, CPU))
        wholes = [torch.from_numpy(ids).long()[None] for ids in tokens.token_ids]
    with torch.inference_mode():
        expected = torch.cat([scorer.model(whole).logits for whole in wholes])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert expected.std(dim=0).min() > 0.01


@pytest.mark.parametrize("training", [False, True])
def test_gradients_equal_unshared_ones(training: bool) -> None:
    scorer = lively_scorer("random_decoder")
    scorer.model.train(training)
    expected = gradients(scorer, unshared(scorer))
    for found, reference in zip(gradients(scorer, shared(scorer)), expected, strict=True):
        scale = max(1.0, float(reference.abs().max()))
        torch.testing.assert_close(found / scale, reference / scale, atol=1e-4, rtol=0)


def test_rows_attend_by_length(slack: int) -> None:
    layout = pack(lively_scorer("random_decoder").tokenize(PAIRS), ROWS, CPU).layout
    heads = [tuple(own.shape) for own in layout.heads]
    tails = [tuple(one.own.shape) for one in layout.tails]
    if slack == 0:
        assert (heads, tails) == ([(1, 9), (1, 18), (1, 24)], [(5, 13), (3, 19), (4, 37)])
    else:
        assert (heads, tails) == ([(2, 18), (1, 24)], [(8, 19), (4, 37)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=60))
def test_groups_of_similar_length_hold_all_and_pad_little(lengths: list[int]) -> None:
    counted = np.array(lengths)
    groups = list(shared_prefix._similar(counted))
    assert sorted(np.concatenate(groups)) == list(range(len(lengths)))
    for group in groups:
        assert counted[group].max() <= 1.25 * counted[group].min() + shared_prefix.SLACK


@pytest.mark.parametrize("alone", [[0, 4, 8], [0, 4, 8, 9, 10], [3, 3, 0, 7]])
def test_rows_that_share_no_beginning_are_read_whole_beside_those_that_do(alone: list[int]) -> None:
    scorer = lively_scorer("random_decoder")
    tokens, rows = scorer.tokenize(PAIRS), np.array(alone)
    wholes = [torch.from_numpy(tokens.token_ids[row]).long()[None] for row in rows]
    expected = torch.cat([scorer.model(whole).logits for whole in wholes])
    with sharing_prefixes(scorer.model):
        found = shared_prefix_logits(scorer.model, pack(tokens, rows, CPU))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    pairs = zip(gradients(scorer, found), gradients(scorer, expected), strict=True)
    for one, reference in pairs:
        scale = max(1.0, float(reference.abs().max()))
        torch.testing.assert_close(one / scale, reference / scale, atol=1e-4, rtol=0)


def test_rows_that_share_nothing_attend_without_a_mask_and_nothing_of_them_is_copied() -> None:
    ids = [np.full(20, 1 + row, dtype=np.int32) for row in range(5)]
    tokens = Tokenized(ids, np.full(5, 12), segmented=False)
    layout = pack(tokens, np.arange(5), CPU).layout
    assert layout.heads == (shared_prefix.Run(0, (5, 20)),)
    assert (layout.tails, layout.back) == ((), None)
    if layout.one_call is not None:
        assert layout.one_call.keys is None


def test_padding_points_at_no_place_more_often_than_there_are_sequences() -> None:
    lengths = np.array([20, 24, 25])
    places, real = shared_prefix._places(np.cumsum(lengths) - lengths, lengths, 69)
    assert np.bincount(places[~real]).max() <= 3
    assert real.sum(axis=1).tolist() == lengths.tolist()


def test_gradients_through_adapters_equal_unshared_ones() -> None:
    scorer = lively_scorer("random_decoder")
    adapted = with_lora(scorer.model, rank=2, alpha=4)
    trained = [p for p in adapted.parameters() if p.requires_grad]
    for parameter in trained:
        torch.nn.init.normal_(parameter, std=0.2)
    tokens, weights = scorer.tokenize(PAIRS), torch.linspace(-1, 1, 36).view(12, 3)
    scorer.model = adapted
    expected = torch.autograd.grad((unshared(scorer) * weights).sum(), trained)
    with sharing_prefixes(adapted):
        logits = shared_prefix_logits(adapted, pack(tokens, ROWS, CPU))
    found = torch.autograd.grad((logits * weights).sum(), trained)
    for one, reference in zip(found, expected, strict=True):
        scale = max(1.0, float(reference.abs().max()))
        torch.testing.assert_close(one / scale, reference / scale, atol=1e-4, rtol=0)


def test_keys_repeated_for_a_kernel_without_groups_change_nothing(
    monkeypatch: pytest.MonkeyPatch, slack: int
) -> None:
    """With a mask that kernel is handed as many heads of keys as of queries, and no groups."""
    if slack < 0:
        return  # one call has no mask
    scorer, calls = lively_scorer("random_decoder"), []
    plain = F.scaled_dot_product_attention

    def attention(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        if options["attn_mask"] is not None:
            calls.append((q.shape[1] // k.shape[1], q.shape[1] // v.shape[1]))
            assert options["enable_gqa"] == (q.shape[1] != k.shape[1])
        return plain(q, k, v, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", attention)
    grouped = shared(scorer)
    expected = gradients(scorer, grouped)
    assert set(calls) == {(2, 2)}
    calls.clear()
    monkeypatch.setattr(shared_prefix, "_repeats_groups", lambda device: True)
    repeated = shared(scorer)
    torch.testing.assert_close(repeated, grouped, atol=1e-5, rtol=0)
    for found, reference in zip(gradients(scorer, repeated), expected, strict=True):
        scale = max(1.0, float(reference.abs().max()))
        torch.testing.assert_close(found / scale, reference / scale, atol=1e-5, rtol=0)
    assert set(calls) == {(1, 1)}


def test_groups_are_repeated_on_a_gpu_alone() -> None:
    assert shared_prefix._repeats_groups(torch.device("cuda"))
    assert not shared_prefix._repeats_groups(CPU)


def test_a_changed_candidate_leaves_all_others_as_they_were() -> None:
    scorer = lively_scorer("random_decoder")
    other = list(PAIRS)
    other[5] = PairText(PAIRS[5].left, PAIRS[5].right[::-1])
    with torch.inference_mode():
        moved = (shared(scorer, other) - shared(scorer)).abs().amax(dim=1)
    changed = ROWS == 5
    assert float(moved[torch.from_numpy(changed)].min()) > 1e-3
    assert float(moved[torch.from_numpy(~changed)].max()) == 0.0


def test_each_distinct_prefix_is_computed_once_and_nothing_is_padded() -> None:
    scorer, sizes = lively_scorer("random_decoder"), []
    layer = scorer.model.get_submodule("model.layers.0")
    layer.register_forward_pre_hook(lambda _, args: sizes.append(tuple(args[0].shape[:2])))
    with torch.inference_mode():
        shared(scorer)
    tokens = scorer.tokenize(PAIRS)
    heads = int(tokens.left_lengths[::4].sum())
    tails = int((tokens.lengths - tokens.left_lengths).sum())
    assert sizes == [(1, heads + tails)]


def test_the_scorer_shares_prefixes_and_attends_as_before_afterwards() -> None:
    scorer, tokens_read = lively_scorer("random_decoder"), []
    before = scorer.model.config._attn_implementation
    layer = scorer.model.get_submodule("model.layers.0")
    hook = layer.register_forward_pre_hook(lambda _, args: tokens_read.append(args[0].shape[1]))
    found = scorer.logits(PAIRS)
    hook.remove()
    tokens = scorer.tokenize(PAIRS)
    assert sum(tokens_read) < tokens.lengths.sum()
    assert scorer.model.config._attn_implementation == before
    with torch.inference_mode():
        expected = unshared(scorer)
    np.testing.assert_allclose(found[ROWS], expected, atol=1e-4)
