"""Shared prefixes: candidates of one query and member read their common beginning once.

A causal model's keys and values of the beginning do not depend on what follows, so they are
computed once per distinct beginning, and every candidate attends to them and to itself alone.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedModel

from tasks.core.training.tokens import Rows, Tokenized


def shared_prefix_logits(
    model: PreTrainedModel, tokens: Tokenized, rows: Rows, device: torch.device
) -> Tensor:
    """Logits (rows, outputs) of a causal scorer, equal to those of whole rows; differentiable.

    Positions of a candidate go on where its prefix ends, and padding between the two is masked,
    so neither scores nor gradients differ from unshared ones beyond rounding.
    """
    heads, members = _distinct_heads(tokens, rows)
    tails = [tokens.token_ids[row][tokens.left_lengths[row] :] for row in rows]
    prefix, prefix_mask = _padded(heads, device)
    tail, tail_mask = _padded(tails, device)
    owner = torch.from_numpy(members).to(device)
    backbone = model.base_model
    cache = backbone(prefix, attention_mask=prefix_mask, use_cache=True).past_key_values
    cache.batch_select_indices(owner)
    begins = prefix_mask.sum(dim=1)[owner]
    hidden = backbone(
        tail,
        attention_mask=torch.cat([prefix_mask[owner], tail_mask], dim=1),
        position_ids=begins[:, None] + torch.arange(tail.shape[1], device=device),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    last = tail_mask.sum(dim=1) - 1
    logits: Tensor = model.get_submodule("score")(hidden[torch.arange(len(rows)), last])
    return logits


def _distinct_heads(
    tokens: Tokenized, rows: Rows
) -> tuple[list[npt.NDArray[np.int32]], npt.NDArray[np.int64]]:
    """The distinct beginnings, and which of them each row has."""
    numbers: dict[bytes, int] = {}
    heads: list[npt.NDArray[np.int32]] = []
    members = np.empty(len(rows), dtype=np.int64)
    for place, row in enumerate(rows):
        head = tokens.token_ids[row][: tokens.left_lengths[row]]
        members[place] = numbers.setdefault(head.tobytes(), len(heads))
        if members[place] == len(heads):
            heads.append(head)
    return heads, members


def _padded(sequences: list[npt.NDArray[np.int32]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and mask, padded on the right; masked places never matter, so their id is 0."""
    longest = max(len(sequence) for sequence in sequences)
    ids = np.zeros((len(sequences), longest), dtype=np.int64)
    mask = np.zeros((len(sequences), longest), dtype=np.int64)
    for place, sequence in enumerate(sequences):
        ids[place, : len(sequence)] = sequence
        mask[place, : len(sequence)] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
