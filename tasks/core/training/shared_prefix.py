"""Shared prefixes: candidates of one query and member read their common beginning once.

A causal model's keys and values of the beginning do not depend on what follows. All tokens of a
batch lie in one row without padding: first each distinct beginning, then every candidate's own
tokens, whose positions go on where their beginning ends. Attention alone knows who belongs to
whom: a candidate attends to its beginning and to itself, never to another candidate.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, PreTrainedModel

from tasks.core.training.architecture import attending_by, plain_model
from tasks.core.training.precision import plain_attention_trains_faster
from tasks.core.training.tokens import Rows, Tokenized

ATTENTION = "shared_prefix"
# Sequences that attend together: the longest has at most this many times the shortest's tokens, and
# some more, since a call costs more than a few tokens do.
SPREAD, SLACK = 1.25, 8


@dataclass(frozen=True)
class Tails:
    """Candidates of similar length: where their own C tokens lie, and what these may see.

    ``own`` (rows, C) and ``keys`` (rows, P + C) are places, padded: of the candidates' own tokens,
    and of those of their beginnings and them; ``seen`` (rows, 1, C, P + C) says which of these
    each token sees.
    """

    own: Tensor
    keys: Tensor
    seen: Tensor


@dataclass(frozen=True)
class Layout:
    """Where beginnings and candidates lie among the T tokens of the flat row, by length.

    ``heads`` are places of beginnings (rows, P), padded. ``back`` (T,) is each token's place among
    all of heads and tails laid out one after another.
    """

    heads: tuple[Tensor, ...]
    tails: tuple[Tails, ...]
    back: Tensor


@dataclass(frozen=True)
class PackedBatch:
    """Token ids and positions (1, T), and three places of each candidate, (R,).

    ``before`` is that of its beginning's last token, ``first`` and ``last`` are its own tokens'.
    """

    token_ids: Tensor
    positions: Tensor
    before: Tensor
    first: Tensor
    last: Tensor
    layout: Layout


def sharing_prefixes(model: nn.Module) -> AbstractContextManager[None]:
    """Inside, the model attends as packed batches need; afterwards as it did before."""
    return attending_by(model, ATTENTION)


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
    ends = starts + lengths - 1
    return PackedBatch(
        torch.from_numpy(np.concatenate(sequences).astype(np.int64))[None].to(device),
        torch.from_numpy(positions)[None].to(device),
        torch.from_numpy(ends[owners]).to(device),
        torch.from_numpy(starts[len(heads) :]).to(device),
        torch.from_numpy(ends[len(heads) :]).to(device),
        _layout(starts, lengths, owners, device),
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


def _layout(starts: Rows, lengths: Rows, owners: Rows, device: torch.device) -> Layout:
    n_heads = len(starts) - len(owners)
    groups = [n_heads + group for group in _similar(lengths[n_heads:])]
    heads = [_places(starts[group], lengths[group]) for group in _similar(lengths[:n_heads])]
    tails = [_places(starts[group], lengths[group]) for group in groups]
    begins = [_places(starts[of], lengths[of]) for of in (owners[one - n_heads] for one in groups)]
    laid = np.concatenate([places.ravel() for places, _ in (*heads, *tails)])
    real = np.concatenate([real.ravel() for _, real in (*heads, *tails)])
    back = np.empty(lengths.sum(), dtype=np.int64)
    back[laid[real]] = np.flatnonzero(real)
    return Layout(
        tuple(torch.from_numpy(places).to(device) for places, _ in heads),
        tuple(_tails(own, *begin, device) for (own, _), begin in zip(tails, begins, strict=True)),
        torch.from_numpy(back).to(device),
    )


def _tails(own: Rows, begins: Rows, real: npt.NDArray[np.bool_], device: torch.device) -> Tails:
    """Candidates at ``own`` (rows, C) behind beginnings at (rows, P), ``real`` where not padded."""
    rows, width = own.shape
    seen_before = np.broadcast_to(real[:, None], (rows, width, begins.shape[1]))
    seen_own = np.broadcast_to(np.tri(width, dtype=np.bool_), (rows, width, width))
    seen = np.concatenate([seen_before, seen_own], axis=2)[:, None]
    parts = (own, np.concatenate([begins, own], axis=1), seen)
    return Tails(*(torch.from_numpy(part).to(device) for part in parts))


def _similar(lengths: Rows) -> Iterator[Rows]:
    """Numbers of the sequences, in groups of similar length.

    So attention, which is padded within a group, pads little, in few calls.
    """
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = SPREAD * lengths[order[start]] + SLACK
        end = int(np.searchsorted(lengths[order], longest, side="right"))
        yield order[start:end]
        start = end


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
        found = [
            *(_attention(q[own], k[own], v[own], None, scaling) for own in layout.heads),
            *(
                _attention(q[one.own], k[one.keys], v[one.keys], one.seen, scaling)
                for one in layout.tails
            ),
        ]
    return torch.cat([part.flatten(0, 1) for part in found])[layout.back][None], None


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
