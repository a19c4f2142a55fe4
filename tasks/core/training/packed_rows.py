"""Packed rows: what an encoder trains on lies side by side, and nothing is spent on padding.

All tokens of a pass make one row. Products with weights take them together; attention takes rows of
one length at a time, so that it needs no mask and no place that holds nothing.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface
from transformers.models.bert.modeling_bert import eager_attention_forward

from tasks.core.training import varlen
from tasks.core.training.architecture import attending_by
from tasks.core.training.precision import plain_attention_trains_faster
from tasks.core.training.tokens import Rows, Tokenized
from tasks.core.training.varlen import Sequences

ATTENTION = "packed_rows"


@dataclass(frozen=True)
class PackedRows:
    """Token ids, positions and segments (1, T), and the place of each row's first token (R,).

    ``runs`` says how many rows of what length follow each other; ``whole`` and ``firsts`` are the
    rows, and their first tokens before them, for a card's kernel that takes any lengths.
    """

    token_ids: Tensor
    positions: Tensor
    segments: Tensor | None
    first: Tensor
    runs: tuple[tuple[int, int], ...]
    whole: Sequences | None
    firsts: Sequences | None

    def inputs(self) -> dict[str, Any]:
        """What a BERT classifier takes inside ``packing_rows`` and ``reading_first_tokens``."""
        return {
            "input_ids": self.token_ids,
            "position_ids": self.positions,
            "token_type_ids": self.segments,
            "packed": self,
        }


def packing_rows(model: nn.Module) -> AbstractContextManager[None]:
    """Inside, the model attends as packed rows need; afterwards as it did before."""
    return attending_by(model, ATTENTION)


def pack_rows(tokens: Tokenized, rows: Rows, device: torch.device) -> PackedRows:
    """The rows one after another; those of one length should be neighbours (``by_length``)."""
    picked = tokens.take(rows)
    lengths = picked.lengths
    starts = np.cumsum(lengths) - lengths
    positions = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    segments = positions >= np.repeat(picked.left_lengths, lengths)
    ids = np.concatenate(picked.token_ids).astype(np.int64)
    return PackedRows(
        torch.from_numpy(ids)[None].to(device),
        torch.from_numpy(positions)[None].to(device),
        torch.from_numpy(segments.astype(np.int64))[None].to(device) if tokens.segmented else None,
        torch.from_numpy(starts).to(device),
        tuple((len(list(run)), int(length)) for length, run in groupby(lengths)),
        varlen.sequences(lengths, lengths, device) if varlen.may_serve(device) else None,
        varlen.sequences(np.ones_like(lengths), lengths, device)
        if varlen.may_serve(device)
        else None,
    )


def by_length(lengths: Rows, slots: int) -> Iterator[Rows]:
    """Row numbers, longest first, in passes of at most ``slots`` tokens each, or of one row."""
    order = np.argsort(lengths, kind="stable")[::-1]
    start, used = 0, 0
    for place, row in enumerate(order):
        if place > start and used + lengths[row] > slots:
            yield order[start:place]
            start, used = place, 0
        used += int(lengths[row])
    if len(order):
        yield order[start:]


def attend(module: nn.Module, packed: PackedRows, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of each row to itself; all are (tokens, heads, width), and so is the result.

    ``q`` has every token of the rows, or the first of each.
    """
    of = packed.whole if len(q) == len(k) else packed.firsts
    if of and varlen.serves(q, v, causal=False):
        return varlen.attend(q, k, v, of, causal=False, scaling=q.shape[-1] ** -0.5)
    held = [rows * length for rows, length in packed.runs]
    asked = held if len(q) == len(k) else [rows for rows, _ in packed.runs]
    parts = (torch.split(q, asked), torch.split(k, held), torch.split(v, held))
    found = [
        _attention(module, *(p.view(rows, -1, *p.shape[1:]).transpose(1, 2) for p in of_one_run))
        for (rows, _), *of_one_run in zip(packed.runs, *parts, strict=True)
    ]
    return torch.cat([part.flatten(0, 1) for part in found])


def _attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(rows, heads, tokens, width) each; the result is (rows, tokens, heads, width)."""
    if module.training and plain_attention_trains_faster(query.device):
        scaling = query.shape[-1] ** -0.5
        written: Tensor = eager_attention_forward(module, query, key, value, None, scaling)[0]
        return written
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2)


def _attend_packed(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    *,
    packed: PackedRows,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of (1, heads, T, width) as the rows lie; the result is (1, T, heads, width)."""
    flat = (part[0].transpose(0, 1) for part in (query, key, value))
    return attend(module, packed, *flat)[None], None


AttentionInterface.register(ATTENTION, _attend_packed)
