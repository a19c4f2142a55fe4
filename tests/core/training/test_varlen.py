"""One call for sequences of any lengths: what it is told, and its trial before it is used.

No card is at hand, so that torch's kernel is stood in for by what its documentation says it does.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import varlen as torch_varlen

from tasks.core.training import varlen
from tasks.core.training.varlen import _is_right, serves

CPU = torch.device("cpu")
Kernel = Callable[..., Tensor]


def written_out(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> Tensor:
    """As torch documents it: flash attention's causal mask ends at the last key."""
    assert query.dtype == key.dtype == value.dtype
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert (cu_seq_q[-1], cu_seq_k[-1]) == (len(query), len(key))
    assert (max_q, max_k) == (cu_seq_q.diff().max(), cu_seq_k.diff().max())
    assert enable_gqa == (query.shape[1] != key.shape[1])
    found = []
    for row in range(len(cu_seq_q) - 1):
        own = slice(int(cu_seq_q[row]), int(cu_seq_q[row + 1]))
        seen = slice(int(cu_seq_k[row]), int(cu_seq_k[row + 1]))
        q, k, v = (one.transpose(0, 1) for one in (query[own], key[seen], value[seen]))
        mask = None
        if window_size == (-1, 0):
            rows, columns = q.shape[1], k.shape[1]
            mask = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)
        one = F.scaled_dot_product_attention(
            q[None], k[None], v[None], attn_mask=mask, scale=scale, enable_gqa=enable_gqa
        )
        found.append(one[0].transpose(0, 1))
    return torch.cat(found)


def attend_in_one_call(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """As a card would; returns the tokens asked and those seen by each call to come."""
    calls: list[tuple[int, int]] = []

    def kernel(query: Tensor, key: Tensor, *arguments: Any, **options: Any) -> Tensor:
        calls.append((len(query), len(key)))
        return written_out(query, key, *arguments, **options)

    monkeypatch.setattr(torch_varlen, "varlen_attn", kernel)
    monkeypatch.setattr(varlen, "may_serve", lambda _: True)
    monkeypatch.setattr(varlen, "serves", lambda *_, **__: True)
    return calls


def other_mask(*arguments: Any, window_size: tuple[int, int], **options: Any) -> Tensor:
    """Sees all, or, of causal attention, no more than its own number of keys from the first on."""
    q, k, v, begins_q, begins_k, *_ = arguments
    if window_size == (-1, -1):
        return written_out(*arguments, window_size=(-1, 0), **options)
    found = torch.zeros_like(q)
    for row in range(len(begins_q) - 1):
        own, seen = (
            slice(int(begins[row]), int(begins[row + 1])) for begins in (begins_q, begins_k)
        )
        groups = q.shape[1] // k.shape[1]
        parts = (q[own], *(one[seen].repeat_interleave(groups, 1) for one in (k, v)))
        heads = (one.transpose(0, 1)[None] for one in parts)
        one = F.scaled_dot_product_attention(*heads, is_causal=True, scale=options["scale"])
        found[own] = one[0].transpose(0, 1)
    return found


def other_scale(*arguments: Any, scale: float, **options: Any) -> Tensor:
    return written_out(*arguments, scale=1.3 * scale, **options)


def no_gradient_of_keys(query: Tensor, key: Tensor, *arguments: Any, **options: Any) -> Tensor:
    return written_out(query, key * 0.5 + key.detach() * 0.5, *arguments, **options)


def nothing_but_nan(*arguments: Any, **options: Any) -> Tensor:
    return written_out(*arguments, **options) * torch.nan


def not_compiled(*_: Any, **__: Any) -> Tensor:
    raise RuntimeError("FlashAttention only supports Ampere GPUs or newer.")


@pytest.fixture(autouse=True)
def tried_anew() -> None:
    _is_right.cache_clear()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_a_kernel_that_gives_what_plain_attention_gives_serves(
    causal: bool, key_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16, and inside what scores are made in; in float32 it is not asked."""
    monkeypatch.setattr(torch_varlen, "varlen_attn", written_out)
    query = torch.zeros(3, 4, 16, dtype=torch.bfloat16)
    value = torch.zeros(3, key_heads, 16, dtype=torch.bfloat16)
    with torch.inference_mode():
        assert serves(query, value, causal=causal)
        assert not serves(query.float(), value.float(), causal=causal)
        with torch.autocast("cpu", torch.bfloat16):
            assert serves(query.float(), value.float(), causal=causal)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "kernel", [other_mask, other_scale, no_gradient_of_keys, nothing_but_nan, not_compiled]
)
def test_a_kernel_that_gives_anything_else_does_not(
    kernel: Kernel, causal: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch_varlen, "varlen_attn", kernel)
    assert not _is_right(CPU, 4, 2, 16, causal=causal)
    assert not _is_right(CPU, 4, 2, 16, causal=causal)
    assert len(caplog.records) == 1  # once, not for every layer of every pass


def test_sequences_begin_where_those_before_them_end() -> None:
    found = varlen.sequences(np.array([1, 1, 3]), np.array([4, 2, 3]), CPU)
    assert found.query_begins.tolist() == [0, 1, 2, 5]
    assert found.key_begins.tolist() == [0, 4, 6, 9]
    assert (found.longest_query, found.longest_key) == (3, 4)
