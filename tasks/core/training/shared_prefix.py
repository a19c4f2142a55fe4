"""Shared prefixes: candidates of one query and member read their common beginning once.

A causal model's keys and values of the beginning do not depend on what follows. All tokens of a
batch lie in one row without padding: first each distinct beginning, then every candidate's own
tokens, whose positions go on where their beginning ends. Attention alone knows who belongs to
whom: a candidate attends to its beginning and to itself, never to another candidate. A row whose
beginning no other one has lies there whole, and needs no mask.
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

from tasks.core.training import varlen
from tasks.core.training.architecture import attending_by, plain_model
from tasks.core.training.precision import plain_attention_trains_faster
from tasks.core.training.tokens import Rows, Tokenized
from tasks.core.training.varlen import OneCall

ATTENTION = "shared_prefix"
# Sequences that attend together: the longest has at most this many times the shortest's tokens, and
# some more, since a call costs more than a few tokens do.
SPREAD, SLACK = 1.25, 8


@dataclass(frozen=True)
class Run:
    """Sequences of one length that follow each other: a view, where places would be a copy.

    On a GPU the gradient of such a copy sorts the places first.
    """

    start: int
    shape: tuple[int, int]


Own = Tensor | Run


@dataclass(frozen=True)
class Tails:
    """Candidates of similar length: where their own C tokens lie, and what these may see.

    ``own`` (rows, C) and ``keys`` (rows, P + C) are places, padded: of the candidates' own tokens,
    and of those of their beginnings and them; ``seen`` (rows, 1, C, P + C) says which of these
    each token sees.
    """

    own: Own
    keys: Tensor
    seen: Tensor


@dataclass(frozen=True)
class Layout:
    """Where beginnings and candidates lie among the T tokens of the flat row, by length.

    ``heads`` are places of beginnings and of whole rows (rows, P), padded. ``back`` (T,) is each
    token's place among all of heads and tails laid out one after another; None where they lie so.
    ``one_call`` is for a card's kernel that takes sequences of any lengths.
    """

    heads: tuple[Own, ...]
    tails: tuple[Tails, ...]
    back: Tensor | None
    one_call: OneCall | None


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
    head_lengths = np.array([len(head) for head in heads])
    shares = np.bincount(owners)[owners] > 1
    for alone in np.flatnonzero(~shares):
        heads[owners[alone]] = tokens.token_ids[rows[alone]]
    tails = [tokens.token_ids[row][tokens.left_lengths[row] :] for row in rows[shares]]
    sequences = [*heads, *tails]
    begins = np.concatenate([np.zeros(len(heads), dtype=np.int64), head_lengths[owners[shares]]])
    lengths = np.array([len(sequence) for sequence in sequences])
    starts = np.cumsum(lengths) - lengths
    positions = np.concatenate([np.arange(n) + b for n, b in zip(lengths, begins, strict=True)])
    before = starts[owners] + head_lengths[owners] - 1
    first, last = before + 1, (starts + lengths - 1)[owners]
    first[shares] = starts[len(heads) :]
    last[shares] = first[shares] + lengths[len(heads) :] - 1
    return PackedBatch(
        torch.from_numpy(np.concatenate(sequences).astype(np.int64))[None].to(device),
        torch.from_numpy(positions)[None].to(device),
        torch.from_numpy(before).to(device),
        torch.from_numpy(first).to(device),
        torch.from_numpy(last).to(device),
        _layout(starts, lengths, owners[shares], device),
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
    """``owners`` are those of the last sequences, the tails; all before them are heads."""
    n_heads, total = len(starts) - len(owners), int(lengths.sum())
    groups = [n_heads + group for group in _similar(lengths[n_heads:])]
    heads = [_places(starts[of], lengths[of], total) for of in _similar(lengths[:n_heads])]
    tails = [_places(starts[of], lengths[of], total) for of in groups]
    begins = [
        _places(starts[of], lengths[of], total) for of in (owners[one - n_heads] for one in groups)
    ]
    laid = np.concatenate([places.ravel() for places, _ in (*heads, *tails)])
    real = np.concatenate([real.ravel() for _, real in (*heads, *tails)])
    back = np.empty(total, dtype=np.int64)
    back[laid[real]] = np.flatnonzero(real)
    return Layout(
        tuple(_own(places, device) for places, _ in heads),
        tuple(_tails(own, *begin, device) for (own, _), begin in zip(tails, begins, strict=True)),
        None if _in_order(back) else torch.from_numpy(back).to(device),
        varlen.behind_beginnings(starts, lengths, owners, device)
        if varlen.may_serve(device)
        else None,
    )


def _own(places: Rows, device: torch.device) -> Own:
    if _in_order(places):
        return Run(int(places.flat[0]), (places.shape[0], places.shape[1]))
    return torch.from_numpy(places).to(device)


def _in_order(places: Rows) -> bool:
    return places.size > 0 and bool((np.diff(places.ravel()) == 1).all())


def _tails(own: Rows, begins: Rows, real: npt.NDArray[np.bool_], device: torch.device) -> Tails:
    """Candidates at ``own`` (rows, C) behind beginnings at (rows, P), ``real`` where not padded.

    The mask, by far the largest of all, is made where it is used.
    """
    rows, width = own.shape
    seen_before = torch.from_numpy(real).to(device)[:, None].expand(-1, width, -1)
    seen_own = torch.ones(width, width, dtype=torch.bool, device=device).tril()
    seen = torch.cat([seen_before, seen_own.expand(rows, -1, -1)], dim=2)[:, None]
    keys = torch.from_numpy(np.concatenate([begins, own], axis=1)).to(device)
    return Tails(_own(own, device), keys, seen)


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


def _places(starts: Rows, lengths: Rows, total: int) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Places (sequences, longest) and which are real; the others, unseen, are what follows.

    One place for them all would be slow on a GPU, where gradients of one place wait for each other.
    """
    steps = np.arange(lengths.max())[None]
    return (starts[:, None] + steps) % total, steps < lengths[:, None]


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
    one_call = layout.one_call
    if one_call and varlen.serves(q, v, causal=True):
        if one_call.keys is not None:
            k, v = k[one_call.keys], v[one_call.keys]
        return varlen.attend(q, k, v, one_call.of, causal=True, scaling=scaling)[None], None
    written_out = module.training and plain_attention_trains_faster(query.device)
    with sdpa_kernel([SDPBackend.MATH] if written_out else _FUSED):
        found = [
            *(
                _attention(_taken(q, own), _taken(k, own), _taken(v, own), None, scaling)
                for own in layout.heads
            ),
            *(
                _attention(_taken(q, one.own), k[one.keys], v[one.keys], one.seen, scaling)
                for one in layout.tails
            ),
        ]
    laid = torch.cat([part.flatten(0, 1) for part in found])
    return (laid if layout.back is None else laid[layout.back])[None], None


def _taken(part: Tensor, own: Own) -> Tensor:
    """Of (T, heads, width) what lies there: (rows, length, heads, width)."""
    if isinstance(own, Tensor):
        return part[own]
    rows, length = own.shape
    return part[own.start : own.start + rows * length].view(rows, length, *part.shape[1:])


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
