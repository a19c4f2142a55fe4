"""Shared prefixes: candidates of one query and member read their common beginning once.

A causal model's keys and values of the beginning do not depend on what follows. All tokens of a
batch lie in one row without padding: first each distinct beginning, then every candidate's own
tokens, whose positions go on where their beginning ends. Attention alone knows who belongs to
whom: a candidate attends to its beginning and to itself, never to another candidate.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, PreTrainedModel

from tasks.core.training.architecture import plain_model
from tasks.core.training.precision import plain_attention_trains_faster
from tasks.core.training.tokens import Rows, Tokenized

ATTENTION = "shared_prefix"


@dataclass(frozen=True)
class Layout:
    """Where the G beginnings and R candidates lie among the T tokens of the flat row.

    ``heads`` (G, P) and ``tails`` (R, C) are places, padded; ``keys`` (R, P + C) are the places
    that a candidate may see, ``seen`` (R, 1, C, P + C) which of them each of its tokens does;
    ``back`` (T,) is each token's place among all of heads and tails laid out one after another.
    """

    heads: Tensor
    tails: Tensor
    keys: Tensor
    seen: Tensor
    back: Tensor


@dataclass(frozen=True)
class PackedBatch:
    """Token ids and positions (1, T), and the place of each candidate's last token (R,)."""

    token_ids: Tensor
    positions: Tensor
    last: Tensor
    layout: Layout


@contextmanager
def sharing_prefixes(model: nn.Module) -> Iterator[None]:
    """Inside, the model attends as packed batches need; afterwards as it did before."""
    plain = plain_model(model)
    before = plain.config._attn_implementation
    plain.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        plain.set_attn_implementation(before)


def shared_prefix_logits(model: PreTrainedModel, batch: PackedBatch) -> Tensor:
    """Logits (rows, outputs) of a causal scorer inside ``sharing_prefixes``; differentiable.

    They and their gradients equal those of whole, separate rows but for rounding.
    """
    plain = plain_model(model)
    hidden = plain.base_model(
        batch.token_ids, position_ids=batch.positions, use_cache=False, layout=batch.layout
    ).last_hidden_state
    logits: Tensor = plain.get_submodule("score")(hidden[0, batch.last])
    return logits


def pack(tokens: Tokenized, rows: Rows, device: torch.device) -> PackedBatch:
    """The rows' tokens in one row, every distinct beginning once."""
    heads, owners = distinct_heads(tokens, rows)
    tails = [tokens.token_ids[row][tokens.left_lengths[row] :] for row in rows]
    sequences = [*heads, *tails]
    head_lengths = np.array([len(head) for head in heads])
    begins = np.concatenate([np.zeros(len(heads), dtype=np.int64), head_lengths[owners]])
    lengths = np.array([len(sequence) for sequence in sequences])
    starts = np.cumsum(lengths) - lengths
    positions = np.concatenate([np.arange(n) + b for n, b in zip(lengths, begins, strict=True)])
    layout = _layout(starts, lengths, owners, len(heads))
    return PackedBatch(
        torch.from_numpy(np.concatenate(sequences).astype(np.int64))[None].to(device),
        torch.from_numpy(positions)[None].to(device),
        torch.from_numpy((starts + lengths - 1)[len(heads) :]).to(device),
        Layout(*(torch.from_numpy(part).to(device) for part in layout)),
    )


def distinct_heads(tokens: Tokenized, rows: Rows) -> tuple[list[npt.NDArray[np.int32]], Rows]:
    """The distinct beginnings, and which of them each row has."""
    numbers: dict[bytes, int] = {}
    heads: list[npt.NDArray[np.int32]] = []
    owners = np.empty(len(rows), dtype=np.int64)
    for place, row in enumerate(rows):
        head = tokens.token_ids[row][: tokens.left_lengths[row]]
        owners[place] = numbers.setdefault(head.tobytes(), len(heads))
        if owners[place] == len(heads):
            heads.append(head)
    return heads, owners


def _layout(
    starts: Rows, lengths: Rows, owners: Rows, n_heads: int
) -> tuple[Rows, Rows, Rows, npt.NDArray[np.bool_], Rows]:
    heads, head_real = _places(starts[:n_heads], lengths[:n_heads])
    tails, tail_real = _places(starts[n_heads:], lengths[n_heads:])
    keys = np.concatenate([heads[owners], tails], axis=1)
    width = tails.shape[1]
    causal = np.tri(width, dtype=np.bool_)
    seen_heads = np.broadcast_to(head_real[owners][:, None], (len(tails), width, heads.shape[1]))
    seen = np.concatenate([seen_heads, np.broadcast_to(causal, (len(tails), width, width))], 2)
    real = np.concatenate([head_real.ravel(), tail_real.ravel()])
    return heads, tails, keys, seen[:, None], np.flatnonzero(real)


def _places(starts: Rows, lengths: Rows) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Places (sequences, longest) and which are real; the others point at place 0, unseen."""
    steps = np.arange(lengths.max())[None]
    real = steps < lengths[:, None]
    return np.where(real, starts[:, None] + steps, 0), real


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    *,
    scaling: float,
    layout: Layout,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of (1, heads, T, width) as the layout says; the result is (1, T, heads, width)."""
    q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))
    written_out = module.training and plain_attention_trains_faster(query.device)
    with sdpa_kernel([SDPBackend.MATH] if written_out else _FUSED):
        heads = _attention(q[layout.heads], k[layout.heads], v[layout.heads], None, scaling)
        tails = _attention(q[layout.tails], k[layout.keys], v[layout.keys], layout.seen, scaling)
    both = torch.cat([heads.flatten(0, 1), tails.flatten(0, 1)])
    return both[layout.back][None], None


_FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def _attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, scaling: float) -> Tensor:
    """All (batch, length, heads, width); without ``seen`` each token sees those before it."""
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    grouped = q.shape[1] != k.shape[1]
    if grouped and seen is not None and _repeats_groups(q.device):
        k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], dim=1) for part in (k, v))
        grouped = False
    found = F.scaled_dot_product_attention(
        q, k, v, attn_mask=seen, is_causal=seen is None, scale=scaling, enable_gqa=grouped
    )
    return found.transpose(1, 2)


def _repeats_groups(device: torch.device) -> bool:
    """Whether masked attention gets keys and values once for each head of the queries.

    On CUDA torch's flash kernel takes no mask and its memory-efficient one no groups: with both
    all scores would be written out.
    """
    return device.type == "cuda"


AttentionInterface.register(ATTENTION, _attend)
