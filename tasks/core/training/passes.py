"""Passes: which rows go through a model together, and the logits of one pass.

Nothing is spent on padding where causal models read, whose rows that begin alike share their
beginning, nor where encoders train. Encoders score padded rows of similar length: where rows are
many, that costs less than packing.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tasks.core.training.architecture import family, plain_model
from tasks.core.training.first_token import reading_first_tokens
from tasks.core.training.packed_rows import PackedRows, by_length, pack_rows, packing_rows
from tasks.core.training.shared_prefix import (
    PackedBatch,
    distinct_heads,
    pack,
    shared_prefix_logits,
    sharing_prefixes,
)
from tasks.core.training.tokens import Rows, Tokenized, chunks_by_tokens, pad

Batch = PackedBatch | PackedRows | dict[str, Tensor]


class Forward(nn.Module):
    """A model as passes use it: a batch in, logits (rows, outputs) out."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.is_causal = family(plain_model(model)) != "bert"

    def forward(self, batch: Batch) -> Tensor:
        if isinstance(batch, PackedBatch):
            return shared_prefix_logits(self.model, batch)
        inputs = batch.inputs() if isinstance(batch, PackedRows) else batch
        logits: Tensor = self.model(**inputs).logits
        return logits

    def batch(self, tokens: Tokenized, rows: Rows, device: torch.device) -> Batch:
        """The rows as the model reads them."""
        if self.is_causal:
            return pack(tokens, rows, device)
        if self.model.training:
            return pack_rows(tokens, rows, device)
        return pad(tokens, rows, self.tokenizer, device)

    def plan(self, tokens: Tokenized, rows: Rows, slots: int, *, at_least: int = 1) -> list[Rows]:
        """The rows in passes of at most ``slots`` token slots each, or of one row.

        A model in training gets passes of training; ``batch`` and ``attention`` go by the same.

        Args:
            at_least: so many passes are made of rows enough, in parts as even as halves are.
        """
        total = int(tokens.take(rows).lengths.sum())
        slots = slots if at_least == 1 else min(slots, -(-total // at_least))
        passes = self._planned(tokens, rows, slots)
        while len(passes) < min(at_least, len(rows)):
            slots //= 2  # what rows share was counted for each of them
            passes = self._planned(tokens, rows, slots)
        return passes

    def _planned(self, tokens: Tokenized, rows: Rows, slots: int) -> list[Rows]:
        if self.is_causal:
            return list(packed_passes(tokens, rows, slots))
        chunks = by_length if self.model.training else chunks_by_tokens
        return [rows[chunk] for chunk in chunks(tokens.take(rows).lengths, slots)]

    @contextmanager
    def attention(self) -> Iterator[None]:
        """What passes run in; entered in training, it is training's."""
        if self.is_causal:
            with sharing_prefixes(self.model):
                yield
        else:
            packing = packing_rows(self.model) if self.model.training else nullcontext()
            with packing, reading_first_tokens(self.model):
                yield


def packed_passes(tokens: Tokenized, rows: Rows, slots: int) -> Iterator[Rows]:
    """Rows that begin alike side by side, cut where the next would pass ``slots`` tokens.

    Groups follow each other by length, so that attention, which is padded, pads little.
    """
    heads, owners = distinct_heads(tokens, rows)
    head_lengths = np.array([len(head) for head in heads])
    tails = tokens.take(rows).lengths - head_lengths[owners]
    longest = np.zeros(len(heads), dtype=np.int64)
    np.maximum.at(longest, owners, tails)
    start, used, last = 0, 0, -1
    order = np.lexsort((tails, owners, longest[owners], head_lengths[owners]))
    for place, row in enumerate(order):
        own, head = int(tails[row]), int(head_lengths[owners[row]])
        new = own + (head if owners[row] != last else 0)
        if place > start and used + new > slots:
            yield rows[order[start:place]]
            start, used, new = place, 0, own + head
        used, last = used + new, owners[row]
    if len(order):
        yield rows[order[start:]]
