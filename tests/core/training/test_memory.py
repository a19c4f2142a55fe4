"""Where memory is short a step is computed otherwise, and is the same step."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate.utils import DistributedType
from torch import Tensor

from tasks.core.errors import CookbookError
from tasks.core.training import placement
from tasks.core.training.architecture import layers
from tasks.core.training.base_models import Source
from tasks.core.training.loop import Examples, Optimization, Targets, train
from tasks.core.training.losses import grade_cross_entropy, listwise_kl
from tasks.core.training.scorer import PairScorer
from tests.core.training.tiny import FAMILIES, pairs_of, tiny_scorer

OPTIMIZATION = Optimization(
    epochs=1,
    learning_rate=3e-3,
    head_learning_rate=3e-3,
    rows_per_step=7,
    list_size=4,
    tokens_per_batch=400,
)
SINGLE_ROWS = replace(OPTIMIZATION, tokens_per_batch=1)


UNSEEN = pairs_of(20, seed=7)


def assert_same_function(
    found: np.ndarray[tuple[int, int], np.dtype[np.float32]], whole: PairScorer, source: Source
) -> None:
    """By logits: AdamW blows rounding up in weights that change nothing, such as key biases."""
    expected = whole.logits(UNSEEN)
    np.testing.assert_allclose(found, expected, atol=5e-4)
    assert np.abs(expected - tiny_scorer(source).logits(UNSEEN)).max() > 0.02


def loss(logits: Tensor, batch: Targets) -> Tensor:
    """Compares rows of the whole step: a mean of parts would be another loss."""
    ones = torch.ones(len(logits))
    pointwise = grade_cross_entropy(logits[:, :3], batch["grades"], weights=ones)
    order = 3 * batch["grades"][:, 0]
    return pointwise + listwise_kl(logits[:, 1], order, batch["query"], temperature=1.0)


def examples_of(scorer: PairScorer) -> Examples:
    """25 rows in steps of eight or so: the last step has a single row or few."""
    groups = np.arange(25) // 4
    targets = {"grades": torch.eye(3)[torch.arange(25) % 3], "query": torch.from_numpy(groups)}
    return Examples(scorer.tokenize(pairs_of(25)), groups, targets)


def trained(
    source: Source,
    prepare: Callable[[PairScorer], None] = lambda _: None,
    *,
    optimization: Optimization = OPTIMIZATION,
) -> PairScorer:
    scorer = tiny_scorer(source)
    prepare(scorer)
    train(scorer, examples_of(scorer), loss, optimization)
    return scorer


def small_memory(slots: int) -> Callable[[PairScorer], None]:
    """Memory for so many token slots only; beyond, torch's own error of an accelerator."""

    def prepare(scorer: PairScorer) -> None:
        def check(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if scorer.model.training and inputs[0].numel() > slots:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        scorer.model.get_input_embeddings().register_forward_pre_hook(check)

    return prepare


@pytest.mark.parametrize(("source", "slots"), [("random_encoder", 40), ("random_decoder", 100)])
def test_out_of_memory_halves_the_passes_and_keeps_the_effective_batch(
    source: Source, slots: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = trained(source)
    halved = trained(source, small_memory(slots))
    assert "Out of memory: a pass has" in caplog.text
    assert_same_function(halved.logits(UNSEEN), whole, source)


def test_where_not_even_one_row_fits_the_message_says_what_to_lower() -> None:
    with pytest.raises(CookbookError, match="Lower tokens_per_batch or max_tokens"):
        trained("random_encoder", small_memory(4))


@pytest.mark.parametrize("source", FAMILIES)
def test_where_a_single_row_is_too_large_layers_are_computed_twice_for_the_same_weights(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    """To the last bit, beside single rows that fit; memory holds no layer's activations here."""

    def no_room_for_activations(scorer: PairScorer) -> None:
        layer = layers(scorer.model)[1]

        def check(*_: object) -> None:
            kept = torch.is_grad_enabled() and not getattr(layer, "gradient_checkpointing", False)
            if scorer.model.training and kept:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        layer.register_forward_pre_hook(check)

    whole = trained(source, optimization=SINGLE_ROWS)
    twice = trained(source, no_room_for_activations, optimization=SINGLE_ROWS)
    assert "gradient checkpointing is on" in caplog.text
    for name, value in whole.model.state_dict().items():
        assert torch.equal(twice.model.state_dict()[name], value), name
    assert not layers(twice.model)[1].gradient_checkpointing


def test_another_error_is_not_taken_for_memory() -> None:
    def broken(scorer: PairScorer) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("a shape that does not fit")

        scorer.model.register_forward_pre_hook(fail)

    with pytest.raises(RuntimeError, match="does not fit"):
        trained("random_encoder", broken)


@pytest.mark.parametrize("kind", [DistributedType.FSDP, DistributedType.DEEPSPEED])
def test_what_accelerate_would_split_is_refused_before_it_trains(
    kind: DistributedType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints gather the parts of this project's own splitting alone."""
    split = SimpleNamespace(distributed_type=kind)
    monkeypatch.setattr(placement, "Accelerator", lambda **_: split)
    with pytest.raises(CookbookError, match=f"accelerate asks for {kind.value}"):
        trained("random_encoder")
