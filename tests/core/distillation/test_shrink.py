"""Shrinking: layers and units go, what stays is refitted, and the saved rest scores the same."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tasks.core.distillation.shrink import cut_mlps, keep_layers, prune_mlps, spread_layers
from tasks.core.training.architecture import layers, mlp
from tasks.core.training.base_models import Source
from tasks.core.training.scorer import PairScorer
from tasks.core.training.tokens import pad
from tests.core.training.tiny import FAMILIES, lively_scorer, pairs_of, tiny_scorer


@pytest.mark.parametrize("source", FAMILIES)
def test_the_kept_layers_are_the_ones_named_in_their_order(source: Source) -> None:
    scorer = lively_scorer(source)
    originals = list(layers(scorer.model))
    keep_layers(scorer.model, [0, 2])
    assert [id(layer) for layer in layers(scorer.model)] == [id(originals[0]), id(originals[2])]
    assert scorer.model.config.num_hidden_layers == 2


@pytest.mark.parametrize("source", FAMILIES)
def test_keeping_every_layer_changes_nothing_and_dropping_one_does(source: Source) -> None:
    scorer, pairs = lively_scorer(source), pairs_of(6)
    before = scorer.logits(pairs)
    keep_layers(scorer.model, [0, 1, 2])
    np.testing.assert_allclose(scorer.logits(pairs), before, rtol=1e-6, atol=1e-8)
    keep_layers(scorer.model, [1, 2])
    assert np.abs(scorer.logits(pairs) - before).max() > 1e-2


@pytest.mark.parametrize("source", FAMILIES)
def test_a_shrunken_scorer_comes_back_from_its_folder(source: Source, tmp_path: Path) -> None:
    """Counts that the config does not know would come back as fresh random layers."""
    scorer, pairs = lively_scorer(source), pairs_of(8)
    keep_layers(scorer.model, [0, 2])
    prune_mlps(scorer, 0.5, pairs)
    scorer.save(tmp_path)
    loaded = PairScorer.load(tmp_path)
    assert loaded.parameters() == scorer.parameters() < tiny_scorer(source).parameters()
    np.testing.assert_allclose(loaded.logits(pairs), scorer.logits(pairs), rtol=1e-6, atol=1e-8)


def test_a_decoder_without_its_first_layer_scores_the_same_with_a_cache() -> None:
    """A layer finds its keys by its own number: kept, the old ones would point past the cache."""
    scorer = lively_scorer("random_decoder")
    keep_layers(scorer.model, [1, 2])
    tokens = scorer.tokenizer(["the pilot and the nurse"], return_tensors="pt")
    with torch.inference_mode():
        cached = scorer.model(**tokens, use_cache=True)
        plain = scorer.model(**tokens, use_cache=False).logits
    torch.testing.assert_close(cached.logits, plain)
    assert len(cached.past_key_values) == 2


def test_spread_layers_by_hand() -> None:
    assert spread_layers(6, 4) == [0, 2, 3, 5]
    assert spread_layers(7, 4) == [0, 2, 4, 6]
    assert spread_layers(28, 1) == [27]


@given(st.integers(1, 64).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_spread_layers_rise_and_keep_the_last_which_feeds_the_head(sizes: tuple[int, int]) -> None:
    total, kept = sizes
    found = spread_layers(total, kept)
    assert len(found) == kept
    assert found == sorted(set(found))
    assert found[-1] == total - 1
    assert kept == 1 or found[0] == 0
    if kept > 1:
        assert np.ptp(np.diff(found)) <= 1  # evenly: no gap is two larger than another


@pytest.mark.parametrize("source", FAMILIES)
def test_cutting_no_unit_changes_nothing(source: Source) -> None:
    scorer, pairs = lively_scorer(source), pairs_of(6)
    before = scorer.logits(pairs)
    prune_mlps(scorer, 1.0, pairs)
    np.testing.assert_allclose(scorer.logits(pairs), before, atol=1e-5)


@pytest.mark.parametrize("source", FAMILIES)
def test_every_mlp_has_the_share_of_units_asked_for(source: Source) -> None:
    scorer = lively_scorer(source)
    prune_mlps(scorer, 0.25, pairs_of(6))
    assert scorer.model.config.intermediate_size == 16
    for layer in layers(scorer.model):
        part = mlp(scorer.model, layer)
        assert {linear.weight.shape[0] for linear in part.inputs} == {16}
        assert part.output.weight.shape == (32, 16)


def units_of(scorer: PairScorer, output: nn.Linear) -> Tensor:
    """Hidden units (tokens, units) that an MLP's output reads, one pair at a time: no padding."""
    seen: list[Tensor] = []
    hook = output.register_forward_pre_hook(lambda _, x: seen.append(x[0].detach().flatten(0, 1)))
    for pair in pairs_of(10):  # by the model itself: what scores leaves out what no score reads
        tokens = scorer.tokenize([pair])
        with torch.inference_mode():
            scorer.model(
                **pad(tokens, np.zeros(1, np.int64), scorer.tokenizer, torch.device("cpu"))
            )
    hook.remove()
    return torch.cat(seen).double()


def second_moments(scorer: PairScorer) -> Callable[[nn.Linear], Tensor]:
    def of(output: nn.Linear) -> Tensor:
        units = units_of(scorer, output)
        return units.T @ units

    return of


@pytest.mark.parametrize("source", FAMILIES)
def test_padding_does_not_enter_the_calibration(source: Source) -> None:
    """In batches of unlike lengths most tokens may be padding, and would choose the units."""
    scorer = lively_scorer(source)
    assert len(set(scorer.tokenize(pairs_of(10)).lengths)) > 2
    reference = copy.deepcopy(scorer)
    prune_mlps(scorer, 0.5, pairs_of(10))
    cut_mlps(reference.model, 0.5, second_moments(reference))
    for name, value in reference.model.state_dict().items():
        torch.testing.assert_close(scorer.model.state_dict()[name], value, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("source", FAMILIES)
def test_a_layer_runs_as_often_in_a_deep_model_as_in_a_shallow_one(source: Source) -> None:
    """One pass through all; then each for its moments, and cut, for what the next one reads."""
    scorer, runs = lively_scorer(source), dict.fromkeys(range(3), 0)
    for place, layer in enumerate(layers(scorer.model)):
        counted = lambda *_, place=place: runs.update({place: runs[place] + 1})  # noqa: E731
        layer.register_forward_pre_hook(counted)
    prune_mlps(scorer, 0.5, pairs_of(10))
    assert runs == {0: 3, 1: 3, 2: 2}  # nothing reads what the last one gives


@pytest.mark.parametrize("source", FAMILIES)
def test_the_refit_reconstructs_better_than_cutting_and_nearly_as_well_as_possible(
    source: Source,
) -> None:
    """On the first layer's MLP, whose inputs pruning does not change."""
    scorer = lively_scorer(source)
    part = mlp(scorer.model, layers(scorer.model)[0])
    units, weight = units_of(scorer, part.output), part.output.weight.detach().double()
    rows = part.inputs[0].weight.detach().clone()
    prune_mlps(scorer, 0.25, pairs_of(10))
    kept = [int((rows == row).all(dim=1).nonzero()) for row in part.inputs[0].weight]
    wanted = units @ weight.T

    def error(refit: Tensor) -> float:
        return float((units[:, kept] @ refit.T - wanted).square().mean())

    plain = error(weight[:, kept])
    refitted = error(part.output.weight.detach().double())
    best = error(torch.linalg.lstsq(units[:, kept], wanted).solution.T)
    assert len(set(kept)) == 16
    assert refitted < 0.8 * plain
    assert refitted < best + 0.1 * (plain - best)


def test_the_units_that_carry_the_output_are_kept() -> None:
    """Half of the units is silenced where they are read: none of them may stay."""
    scorer = lively_scorer("random_encoder")
    part = mlp(scorer.model, layers(scorer.model)[0])
    rows = part.inputs[0].weight.detach().clone()
    with torch.no_grad():
        part.output.weight[:, ::2] = 0.0
    prune_mlps(scorer, 0.5, pairs_of(10))
    assert torch.equal(part.inputs[0].weight, rows[1::2])
