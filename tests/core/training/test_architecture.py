"""Where layers and MLPs lie, adapters that merge without a trace, heads that average tokens."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2ForSequenceClassification

from tasks.core.errors import CookbookError
from tasks.core.training.architecture import (
    add_mean_pooling,
    family,
    freeze_embeddings,
    head_name,
    layers,
    mlp,
    with_lora,
)
from tasks.core.training.base_models import Source
from tasks.core.training.loop import Optimization
from tasks.core.training.scorer import PairScorer
from tasks.core.training.teachers import Lora, train_policy_teacher
from tests.core.training.tiny import FAMILIES, pairs_of, tiny_scorer

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
OPTIMIZATION = Optimization(
    epochs=2, learning_rate=1e-2, head_learning_rate=1e-2, rows_per_step=6, list_size=3
)


def test_a_family_that_nobody_taught_is_refused() -> None:
    config = GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=16)
    with pytest.raises(CookbookError, match="came 'gpt2'"):
        family(GPT2ForSequenceClassification(config))


@pytest.mark.parametrize("source", FAMILIES)
def test_an_mlp_maps_hidden_width_to_units_and_back(source: Source) -> None:
    model = tiny_scorer(source).model
    assert len(layers(model)) == 3
    for layer in layers(model):
        part = mlp(model, layer)
        assert [tuple(linear.weight.shape) for linear in part.inputs] == [(64, 32)] * len(
            part.inputs
        )
        assert tuple(part.output.weight.shape) == (32, 64)


@pytest.mark.parametrize("source", FAMILIES)
def test_merged_adapters_give_the_logits_of_unmerged_ones(source: Source) -> None:
    scorer, pairs = tiny_scorer(source), pairs_of(6)
    before = scorer.logits(pairs)
    adapted = with_lora(scorer.model, rank=2, alpha=4)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name or "modules_to_save" in name:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    scorer.model = adapted  # type: ignore[assignment]
    unmerged = scorer.logits(pairs)
    scorer.model = adapted.merge_and_unload()  # type: ignore[operator]
    np.testing.assert_allclose(scorer.logits(pairs), unmerged, atol=1e-5)
    assert np.abs(unmerged - before).max() > 1e-2


@pytest.mark.parametrize("source", FAMILIES)
def test_adapters_leave_the_base_frozen_and_train_the_head_whole(source: Source) -> None:
    scorer = tiny_scorer(source)
    model = with_lora(scorer.model, rank=2, alpha=4)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    head = head_name(scorer.model)
    assert any(f"{head}.modules_to_save" in name and "weight" in name for name in trained)
    assert all("lora_" in name or f"{head}.modules_to_save" in name for name in trained)
    adapted = {name.split(".lora_A")[0] for name in trained if ".lora_A" in name}
    assert {f"base_model.model.{n}" for n in linear_maps(tiny_scorer(source), head)} == adapted


def linear_maps(scorer: PairScorer, head: str) -> set[str]:
    modules = scorer.model.named_modules()
    return {n for n, m in modules if isinstance(m, torch.nn.Linear) and n != head}


@pytest.mark.parametrize("source", FAMILIES)
def test_a_teacher_saves_its_trained_head_and_no_trace_of_adapters(
    source: Source, tmp_path: Path
) -> None:
    """A head that is not saved comes back random: scores after a reload would be noise."""
    scorer, pairs = tiny_scorer(source), pairs_of(12)
    fresh = copy.deepcopy(scorer.model.state_dict())
    train_policy_teacher(
        scorer,
        pairs,
        np.eye(3)[np.arange(12) % 3],
        np.arange(12) // 3,
        np.zeros(12),
        OPTIMIZATION,
        lora=Lora(2, 4),
    )
    scorer.save(tmp_path)
    loaded = PairScorer.load(tmp_path)
    np.testing.assert_allclose(loaded.logits(pairs), scorer.logits(pairs), rtol=1e-6, atol=1e-8)
    state = loaded.model.state_dict()
    assert set(state) == set(fresh)
    changed = {name for name in fresh if not torch.equal(state[name], fresh[name])}
    assert f"{head_name(scorer.model)}.weight" in changed
    assert not any("embed" in name or "norm" in name.lower() for name in changed)


@pytest.mark.parametrize("source", FAMILIES)
def test_frozen_embeddings_are_all_that_is_frozen(source: Source) -> None:
    model = tiny_scorer(source).model
    freeze_embeddings(model)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen
    assert all("embed" in name for name in frozen)
    assert model.get_input_embeddings().weight.requires_grad is False


def test_mean_pooling_reads_every_token_evenly_and_no_padding() -> None:
    """The pooled first token is the layer norm of token 0 plus 8 times the mean of all tokens."""
    scorer = tiny_scorer("random_encoder")
    tokens = scorer.tokenizer(["pilot", "a nurse and a baker"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = scorer.model.bert(**tokens).last_hidden_state
        add_mean_pooling(scorer.model)
        pooled = scorer.model.bert(**tokens).last_hidden_state[:, 0]
    for row, found in enumerate(pooled):
        real = hidden[row][tokens["attention_mask"][row].bool()]
        expected = torch.nn.functional.layer_norm(real[0] + 8 * real.mean(0), (32,), eps=1e-12)
        expected = torch.nn.functional.layer_norm(expected, (32,), eps=1e-12)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
