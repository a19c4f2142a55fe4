"""The layers that go are those whose absence changes a scorer's outputs least."""

import copy
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, xlogy

from tasks.core.distillation.layer_importance import important_layers
from tasks.core.distillation.shrink import keep_layers
from tasks.core.training.architecture import head_name, layers, mlp
from tasks.core.training.base_models import Source
from tasks.core.training.scorer import GOALS, Goal, PairScorer
from tests.core.training.tiny import FAMILIES, lively_scorer, pairs_of


def divergence(scorer: PairScorer, rest: PairScorer) -> dict[Goal, float]:
    """KL of the grades and of the one action, in numpy."""
    pairs = pairs_of(12)
    whole, cut = (one.logits(pairs).astype(np.float64) for one in (scorer, rest))
    target = log_softmax(whole[:, :3], axis=1)
    grades = (np.exp(target) * (target - log_softmax(cut[:, :3], axis=1))).sum(axis=1).mean()
    p, q = expit(whole[:, 3]), expit(cut[:, 3])
    clicks = (xlogy(p, p / q) + xlogy(1 - p, (1 - p) / (1 - q))).mean()
    return {"grades": float(grades), "actions": float(clicks)}


@pytest.mark.parametrize("source", FAMILIES)
def test_one_layer_fewer_is_the_best_of_all_such_cuts(source: Source) -> None:
    """Held against models really cut and a loss written anew, so that a skip is a cut."""
    scorer = lively_scorer(source, actions=("clicked",))
    losses = {}
    for kept in combinations(range(3), 2):
        cut = copy.deepcopy(scorer)
        keep_layers(cut.model, kept)
        losses[kept] = sum(divergence(scorer, cut).values())
    assert len({round(loss, 6) for loss in losses.values()}) == 3
    assert tuple(important_layers(scorer, 2, pairs_of(12))) == min(losses, key=lambda k: losses[k])


@pytest.mark.parametrize("source", FAMILIES)
@pytest.mark.parametrize("goal", GOALS)
def test_outputs_that_nobody_taught_decide_over_no_layer(source: Source, goal: Goal) -> None:
    """However large they are: a head as it began would outweigh the one that was taught."""
    scorer = lively_scorer(source, actions=("clicked",))
    scorer.taught = (goal,)
    chosen = important_layers(scorer, 2, pairs_of(12))
    losses = {}
    for kept in combinations(range(3), 2):
        cut = copy.deepcopy(scorer)
        keep_layers(cut.model, kept)
        losses[kept] = divergence(scorer, cut)[goal]
    assert tuple(chosen) == min(losses, key=lambda kept: losses[kept])
    head = getattr(scorer.model, head_name(scorer.model))
    with torch.no_grad():
        head.weight[slice(3, None) if goal == "grades" else slice(0, 3)] *= 100
    assert important_layers(scorer, 2, pairs_of(12)) == chosen


@pytest.mark.parametrize("source", FAMILIES)
@pytest.mark.parametrize("idle", [0, 1, 2])
def test_a_layer_that_does_nothing_goes_first(source: Source, idle: int) -> None:
    scorer = lively_scorer(source)
    _silence(scorer, idle)
    kept = important_layers(scorer, 2, pairs_of(12))
    assert kept == [number for number in range(3) if number != idle]
    (last,) = important_layers(scorer, 1, pairs_of(12))
    assert last in kept


@pytest.mark.parametrize("source", FAMILIES)
def test_choosing_leaves_the_scorer_as_it_was(source: Source) -> None:
    scorer, pairs = lively_scorer(source), pairs_of(6)
    before = scorer.logits(pairs)
    important_layers(scorer, 1, pairs)
    np.testing.assert_array_equal(scorer.logits(pairs), before)
    assert important_layers(scorer, 3, pairs) == [0, 1, 2]


def _silence(scorer: PairScorer, number: int) -> None:
    """Make one layer hand on what it reads; BERT's norms of what is normed change nothing."""
    layer = layers(scorer.model)[number]
    attention = getattr(layer, "attention", None)
    last = layer.self_attn.o_proj if attention is None else attention.output.dense
    with torch.no_grad():
        for linear in (last, mlp(scorer.model, layer).output):
            for parameter in linear.parameters():
                parameter.zero_()
