"""Number formats: bfloat16 only where the processor multiplies it fast."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tasks.core.training import precision
from tasks.core.training.architecture import with_lora
from tasks.core.training.loop import Examples, Optimization, train
from tasks.core.training.precision import autocast, compute_dtype, frozen_matrices
from tasks.core.training.scorer import PairScorer
from tests.core.training.tiny import lively_scorer, pairs_of

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"avx512_bf16", "avx2"}, torch.bfloat16),
        ({"amx_bf16"}, torch.bfloat16),
        ({"avx512f", "avx2", "bf16_emulated"}, torch.float32),
        (set(), torch.float32),
    ],
)
def test_a_processor_computes_in_bfloat16_only_if_it_says_so(
    flags: set[str], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset(flags))
    assert compute_dtype(CPU) == expected
    with autocast(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


def test_a_gpu_computes_in_bfloat16_whatever_the_processor() -> None:
    assert compute_dtype(torch.device("cuda")) == torch.bfloat16


def adapted(seen: list[torch.dtype]) -> PairScorer:
    """A scorer with trained adapters; ``seen`` are the formats of what lay under them meanwhile."""
    scorer = lively_scorer("random_decoder")
    torch.manual_seed(0)
    scorer.model = with_lora(scorer.model, rank=2, alpha=4)  # type: ignore[assignment]
    examples = Examples(
        scorer.tokenize(pairs_of(8)), np.arange(8) // 4, {"wanted": torch.arange(8.0)[:, None]}
    )

    def loss(logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.extend(weight.dtype for weight in frozen_matrices(scorer.model))
        return (logits - batch["wanted"]).square().mean()

    settings = Optimization(1, 1e-2, 1e-2, rows_per_step=4)
    train(scorer, examples, loss, settings)
    return scorer


def test_what_lies_under_adapters_is_held_as_products_read_it_and_nothing_else_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    formats: list[torch.dtype] = []
    found = adapted(formats).model.state_dict()
    assert set(formats) == {torch.bfloat16}
    formats.clear()
    monkeypatch.setattr("tasks.core.training.loop.frozen_matrices_in", lambda *_: nullcontext())
    expected = adapted(formats).model.state_dict()
    assert set(formats) == {torch.float32}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert {value.dtype for value in found.values()} == {torch.float32}
