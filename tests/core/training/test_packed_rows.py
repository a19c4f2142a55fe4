"""Packed rows: logits and gradients of padded rows, and no place without a token."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tasks.core.training import precision
from tasks.core.training.architecture import with_lora
from tasks.core.training.packed_rows import by_length, pack_rows
from tasks.core.training.passes import Forward
from tasks.core.training.scorer import PairScorer
from tasks.core.training.tokens import Tokenized, pad
from tests.core.training.test_varlen import attend_in_one_call
from tests.core.training.tiny import lively_scorer, pairs_of

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
CPU = torch.device("cpu")
SLOW, FAST = frozenset[str](), frozenset({"amx_bf16"})


def gradients(model: nn.Module, logits: Tensor) -> dict[str, Tensor]:
    """Of a loss that weighs every logit otherwise; the model's own are cleared."""
    weights = torch.arange(1.0, logits.numel() + 1).reshape(logits.shape)
    (logits * weights).sum().backward()  # type: ignore[no-untyped-call]
    found = {
        name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None
    }
    model.zero_grad()
    return found


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize(
    ("flags", "one_call"),
    [(SLOW, False), (FAST, False), (SLOW, True)],
    ids=["fused", "written out", "one call"],
)
def test_logits_and_gradients_are_those_of_padded_rows(
    monkeypatch: pytest.MonkeyPatch, lora: bool, flags: frozenset[str], one_call: bool
) -> None:
    monkeypatch.setattr(precision, "cpu_flags", lambda: flags)
    calls = attend_in_one_call(monkeypatch) if one_call else []
    scorer = lively_scorer("random_encoder")
    model = with_lora(scorer.model, rank=2, alpha=4) if lora else scorer.model
    tokens = scorer.tokenize(pairs_of(9))
    order = np.argsort(tokens.lengths)
    model.train()
    with Forward(model, scorer.tokenizer).attention():
        forward = Forward(model, scorer.tokenizer)
        ours = forward(forward.batch(tokens, order, CPU))
        packed = gradients(model, ours)
    plain = model(**pad(tokens, order, scorer.tokenizer, CPU)).logits
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=0)
    whole = gradients(model, plain)
    assert packed.keys() == whole.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(packed[name], gradient, atol=1e-3, rtol=1e-4, msg=name)
    assert len(set(tokens.lengths)) == 3
    total = int(tokens.lengths.sum())
    assert calls == ([(total, total), (total, total), (len(order), total)] if one_call else [])


def test_no_place_is_without_a_token_and_company_changes_no_row() -> None:
    scorer = lively_scorer("random_encoder")
    tokens, rows = scorer.tokenize(pairs_of(9)), np.arange(9)
    assert pack_rows(tokens, rows, CPU).token_ids.shape == (1, tokens.lengths.sum())
    together = trained_logits(scorer, tokens, rows)
    changed = Tokenized(
        [*tokens.token_ids[:8], tokens.token_ids[8][::-1].copy()],
        tokens.left_lengths,
        tokens.segmented,
    )
    after = trained_logits(scorer, changed, rows)
    torch.testing.assert_close(after[:8], together[:8], atol=1e-6, rtol=0)
    assert not torch.allclose(after[8], together[8], atol=1e-3)


def trained_logits(scorer: PairScorer, tokens: Tokenized, rows: npt.NDArray[np.int64]) -> Tensor:
    scorer.model.train()
    forward = Forward(scorer.model, scorer.tokenizer)
    with torch.no_grad(), forward.attention():
        logits: Tensor = forward(forward.batch(tokens, rows, CPU))
    return logits


@given(st.lists(st.integers(1, 30), max_size=40), st.integers(1, 100))
def test_passes_hold_every_row_once_within_the_budget(lengths: list[int], slots: int) -> None:
    counted = np.array(lengths, dtype=np.int64)
    passes = list(by_length(counted, slots))
    assert sorted(np.concatenate([*passes, np.zeros(0, np.int64)])) == list(range(len(lengths)))
    for one in passes:
        assert len(one) == 1 or counted[one].sum() <= slots
    full = [counted[one].sum() + counted[after[0]] for one, after in pairwise(passes)]
    assert all(tokens > slots for tokens in full)  # none is cut sooner than it must be
