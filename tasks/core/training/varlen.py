"""Attention of sequences of any lengths in one call: torch's own kernel, on cards that have it.

Before a card uses it for heads of a shape it is held there to plain attention, with its gradients;
where it gives anything else, or an error, plain attention in groups of similar length goes on.

Source: torch.nn.attention.varlen, over flash attention; where keys outnumber a sequence's queries
these are the last of them, which is what candidates behind a beginning are.
"""

import logging
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.core.training.tokens import Rows

logger = logging.getLogger(__name__)
# Some times what bfloat16 rounds off, as a share of the largest value.
_TOLERANCE = 0.03
_PROBE = ((1, 5, 17), (9, 5, 40))
_FORMATS = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Sequences:
    """Where each sequence's queries and keys begin, (N + 1,) int32, and the longest of each."""

    query_begins: Tensor
    key_begins: Tensor
    longest_query: int
    longest_key: int


def sequences(queries: Rows, keys: Rows, device: torch.device) -> Sequences:
    """Sequences of so many queries and keys each, both (N,)."""
    return Sequences(
        _begins(queries, device), _begins(keys, device), int(queries.max()), int(keys.max())
    )


@dataclass(frozen=True)
class OneCall:
    """All sequences as they lie, and the places of what they see; None where these lie so too."""

    of: Sequences
    keys: Tensor | None


def may_serve(device: torch.device) -> bool:
    """Whether the device can have such a kernel at all."""
    return device.type == "cuda"


def behind_beginnings(starts: Rows, lengths: Rows, owners: Rows, device: torch.device) -> OneCall:
    """Sequences one after another: heads see themselves, tails, the last, their head as well.

    ``starts`` and ``lengths`` are (sequences,), ``owners`` (tails,) the numbers of their heads.
    """
    places = [np.arange(n) + start for start, n in zip(starts, lengths, strict=True)]
    heads, tails = places[: len(places) - len(owners)], places[len(places) - len(owners) :]
    behind = [np.concatenate([heads[own], tail]) for own, tail in zip(owners, tails, strict=True)]
    seen = [*heads, *behind]
    keys = torch.from_numpy(np.concatenate(seen)).to(device) if behind else None
    return OneCall(sequences(lengths, np.array([len(one) for one in seen]), device), keys)


def serves(query: Tensor, value: Tensor, *, causal: bool) -> bool:
    """Whether the kernel is there for heads of these shapes, and gives what plain attention gives.

    It computes in half precision alone: where that is not asked for, it does not serve.
    """
    heads, (key_heads, width) = query.shape[1], value.shape[1:]
    half = _format(value) in _FORMATS
    return half and _is_right(value.device, heads, key_heads, width, causal=causal)


def attend(
    query: Tensor, key: Tensor, value: Tensor, of: Sequences, *, causal: bool, scaling: float
) -> Tensor:
    """Attention of each sequence to itself; all are (tokens, heads, width), and so is the result.

    Keys and values may have fewer heads than queries.
    """
    # Here, since other releases of torch may lack it.
    from torch.nn.attention.varlen import varlen_attn

    # A layer's norms give float32 inside autocast, which does not know this kernel.
    dtype = _format(value)
    found = varlen_attn(
        query.to(dtype),
        key.to(dtype),
        value.to(dtype),
        of.query_begins,
        of.key_begins,
        of.longest_query,
        of.longest_key,
        scale=scaling,
        window_size=(-1, 0) if causal else (-1, -1),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(found, Tensor)
    return found


def _format(value: Tensor) -> torch.dtype:
    kind = value.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype


@cache
def _is_right(
    device: torch.device, heads: int, key_heads: int, width: int, *, causal: bool
) -> bool:
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(device.type, None, False),
        ):
            far = _distance(device, (heads, key_heads, width), causal=causal)
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        logger.warning("Variable-length attention is not used: %s", error)
        return False
    if not far < _TOLERANCE:
        logger.warning("Variable-length attention is %.3g off, and not used.", far)
    return far < _TOLERANCE


def _distance(device: torch.device, shape: tuple[int, int, int], *, causal: bool) -> float:
    """How far from plain attention, in results and gradients, as a share of the largest."""
    heads, key_heads, width = shape
    lengths = [np.array(one) for one in _PROBE]
    of = sequences(lengths[0], lengths[1], device)
    generator = torch.Generator().manual_seed(0)

    def drawn(tokens: int, heads: int) -> Tensor:
        found = torch.randn(tokens, heads, width, generator=generator)
        return found.to(device, _FORMATS[0]).requires_grad_()

    query = drawn(int(lengths[0].sum()), heads)
    key, value = (drawn(int(lengths[1].sum()), key_heads) for _ in range(2))
    weights = torch.randn(query.shape, generator=generator).to(device)
    ours, theirs = (
        one(query, key, value, of, causal=causal, scaling=width**-0.5) for one in (attend, _plain)
    )
    gradients = (
        torch.autograd.grad((found.float() * weights).sum(), (query, key, value))
        for found in (ours, theirs)
    )
    pairs = [(ours.detach(), theirs.detach()), *zip(*gradients, strict=True)]
    return max(
        float((one.float() - other.float()).abs().max() / other.abs().max()) for one, other in pairs
    )


def _plain(
    query: Tensor, key: Tensor, value: Tensor, of: Sequences, *, causal: bool, scaling: float
) -> Tensor:
    """As ``attend``, written out in float32, a sequence after the other."""
    found = []
    groups = query.shape[1] // key.shape[1]
    for number in range(len(of.query_begins) - 1):
        own = slice(*of.query_begins[number : number + 2].tolist())
        seen = slice(*of.key_begins[number : number + 2].tolist())
        q, k, v = (
            part.float().transpose(0, 1)
            for part in (
                query[own],
                key[seen].repeat_interleave(groups, dim=1),
                value[seen].repeat_interleave(groups, dim=1),
            )
        )
        scores = scaling * q @ k.transpose(1, 2)
        if causal:
            late = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device)
            scores = scores.masked_fill(
                late.triu(1 + scores.shape[2] - scores.shape[1]), -torch.inf
            )
        found.append((F.softmax(scores, dim=-1) @ v).transpose(0, 1))
    return torch.cat(found)


def _begins(lengths: Rows, device: torch.device) -> Tensor:
    return torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)).to(device)
