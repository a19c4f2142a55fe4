"""Shared prefixes: the same scores and gradients for less work, and candidates never meet."""

import numpy as np
import torch
from torch import Tensor

from tasks.core.inputs import PairText
from tasks.core.training.scorer import PairScorer
from tasks.core.training.shared_prefix import shared_prefix_logits
from tests.core.training.tiny import lively_scorer, pairs_of

CPU = torch.device("cpu")
# Three queries of different length, four candidates each, and their rows out of order.
LEFTS = ("pilot", "a night nurse wanted", "actor or judge")
PAIRS = [PairText(left, pair.right) for left in LEFTS for pair in pairs_of(4, seed=len(left))]
ROWS = np.random.default_rng(0).permutation(12)


def shared(scorer: PairScorer, pairs: list[PairText] = PAIRS) -> Tensor:
    return shared_prefix_logits(scorer.model, scorer.tokenize(pairs), ROWS, CPU)


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


def test_gradients_equal_unshared_ones() -> None:
    scorer = lively_scorer("random_decoder")
    expected = gradients(scorer, unshared(scorer))
    for found, reference in zip(gradients(scorer, shared(scorer)), expected, strict=True):
        scale = max(1.0, float(reference.abs().max()))
        torch.testing.assert_close(found / scale, reference / scale, atol=1e-4, rtol=0)


def test_a_changed_candidate_leaves_all_others_as_they_were() -> None:
    scorer = lively_scorer("random_decoder")
    other = list(PAIRS)
    other[5] = PairText(PAIRS[5].left, PAIRS[5].right[::-1])
    with torch.inference_mode():
        moved = (shared(scorer, other) - shared(scorer)).abs().amax(dim=1)
    changed = ROWS == 5
    assert float(moved[torch.from_numpy(changed)].min()) > 1e-3
    assert float(moved[torch.from_numpy(~changed)].max()) == 0.0


def test_each_distinct_prefix_is_computed_once() -> None:
    """Three prefixes, twelve candidates: the first pass has three rows, not twelve."""
    scorer, sizes = lively_scorer("random_decoder"), []
    layer = scorer.model.get_submodule("model.layers.0")
    layer.register_forward_pre_hook(lambda _, args: sizes.append(tuple(args[0].shape[:2])))
    with torch.inference_mode():
        shared(scorer)
    assert [rows for rows, _ in sizes] == [3, 12]
    tails = [len(pair.right) + len(scorer.template.suffix) for pair in PAIRS]
    assert sizes[1][1] == max(tails)
