"""Tokens of pairs: encoded once, batched by length, padded only to the longest of a batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase

from tasks.core.errors import CookbookError
from tasks.core.inputs import InputTemplate, PairText

Rows = npt.NDArray[np.int64]
# Token ids before the left side, between the sides, and after the right one.
Frame = tuple[list[int], list[int], list[int]]
# Texts encoded together: a tokenizer's answer takes ten times the room of the ids kept of it.
_AT_ONCE = 2048


@dataclass(frozen=True)
class Tokenized:
    """Token ids of each pair; ``left_lengths`` counts the tokens of segment 0."""

    token_ids: list[npt.NDArray[np.int32]]
    left_lengths: Rows
    segmented: bool

    @property
    def lengths(self) -> Rows:
        return np.fromiter((len(ids) for ids in self.token_ids), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.token_ids)

    def take(self, rows: Rows) -> "Tokenized":
        return Tokenized([self.token_ids[i] for i in rows], self.left_lengths[rows], self.segmented)


def tokenize(
    tokenizer: PreTrainedTokenizerBase, template: InputTemplate, pairs: Sequence[PairText]
) -> Tokenized:
    """Encode pairs as ``[CLS] left [SEP] right [SEP]`` or ``prefix left right suffix``.

    Only the right side is cut to fit, and the left side to half of the room at most, so that a
    long profile can neither push the candidate out nor take the suffix with it.

    Raises:
        CookbookError: the template alone fills ``max_tokens``, so nothing of a pair would be read.
    """
    if not pairs:
        return Tokenized([], np.zeros(0, dtype=np.int64), False)
    segmented = tokenizer.cls_token_id is not None and tokenizer.sep_token_id is not None
    frame = _frame(tokenizer, template, segmented)
    left = _ids(tokenizer, [pair.left for pair in pairs])
    right = _ids(tokenizer, [pair.right for pair in pairs])
    both = zip(left, right, strict=True)
    framed = [_framed(*one, frame, template.max_tokens) for one in both]
    rows, left_lengths = zip(*framed, strict=True)
    return Tokenized(list(rows), np.array(left_lengths, dtype=np.int64), segmented)


def token_ids(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], **options: Any
) -> Iterator[list[int]]:
    """The ids of each text, encoded some thousands at a time; ``options`` are the tokenizer's."""
    for start in range(0, len(texts), _AT_ONCE):
        yield from tokenizer(list(texts[start : start + _AT_ONCE]), **options)["input_ids"]


def _framed(
    left: list[int], right: list[int], frame: Frame, max_tokens: int
) -> tuple[npt.NDArray[np.int32], int]:
    """A pair's ids between the template's, cut to fit, and how many come before the right side."""
    start, middle, end = frame
    own = len(start) + len(middle) + len(end)
    room = max_tokens - own
    if room < 2:
        raise CookbookError(
            f"A pair needs room beside the template's own {own} tokens; max_tokens is "
            f"{max_tokens}. Raise max_tokens."
        )
    kept_left = left[: max(room // 2, room - len(right))]
    head = [*start, *kept_left, *middle]
    kept_right = right[: room - len(kept_left)]
    return np.array([*head, *kept_right, *end], dtype=np.int32), len(head)


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Iterator[list[int]]:
    return token_ids(tokenizer, texts, add_special_tokens=False, verbose=False)


def _frame(tokenizer: PreTrainedTokenizerBase, template: InputTemplate, segmented: bool) -> Frame:
    if segmented:
        return [tokenizer.cls_token_id], [tokenizer.sep_token_id], [tokenizer.sep_token_id]
    prefix, newline, suffix = _ids(tokenizer, [template.prefix, "\n", template.suffix])
    return prefix, newline, suffix


def chunks_by_tokens(lengths: Rows, tokens_per_batch: int) -> Iterator[Rows]:
    """Row numbers in chunks of similar length, each of at most ``tokens_per_batch`` slots.

    A slot is a place in the padded batch, so the longest row of a chunk sets its size.
    """
    order = np.argsort(lengths, kind="stable")[::-1]
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        size = max(1, tokens_per_batch // longest)
        yield order[start : start + size]
        start += size


def pad(
    tokenized: Tokenized, rows: Rows, tokenizer: PreTrainedTokenizerBase, device: torch.device
) -> dict[str, torch.Tensor]:
    """Model inputs of the rows, padded on the right to the longest: shape (rows, longest)."""
    picked = [tokenized.token_ids[i] for i in rows]
    longest = max(len(ids) for ids in picked)
    input_ids = np.full((len(picked), longest), tokenizer.pad_token_id, dtype=np.int64)
    mask = np.zeros((len(picked), longest), dtype=np.int64)
    segments = np.zeros((len(picked), longest), dtype=np.int64)
    for i, (ids, left) in enumerate(zip(picked, tokenized.left_lengths[rows], strict=True)):
        input_ids[i, : len(ids)] = ids
        mask[i, : len(ids)] = 1
        segments[i, left : len(ids)] = 1
    arrays = {"input_ids": input_ids, "attention_mask": mask}
    if tokenized.segmented:
        arrays["token_type_ids"] = segments
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
