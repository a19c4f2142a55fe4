"""Tokens of pairs: encoded once, batched by length, padded only to the longest of a batch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase

from tasks.core.errors import CookbookError
from tasks.core.inputs import InputTemplate, PairText

Rows = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]
# Token ids before the left side, between the sides, and after the right one.
Frame = tuple[Ids, Ids, Ids]
# Texts encoded together: a tokenizer's answer takes ten times the room of the ids kept of it.
_AT_ONCE = 2048


@dataclass(frozen=True)
class Tokenized:
    """Token ids of each pair.

    ``left_lengths`` counts the tokens of segment 0; without segments, those of the beginning that a
    row may share with others (``_beginnings``).
    """

    token_ids: Sequence[Ids]
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
    frame, most = _frame(tokenizer, template, segmented), template.max_tokens
    left = _distinct_ids(tokenizer, (pair.left for pair in pairs), most)
    right = _distinct_ids(tokenizer, (pair.right for pair in pairs), most)
    both = ((left[pair.left], right[pair.right]) for pair in pairs)
    rows, cuts = zip(*(_framed(*one, frame, most) for one in both), strict=True)
    kept = np.array(cuts, dtype=np.int64)
    start, middle, _ = frame
    if segmented:
        left_lengths = len(start) + kept + len(middle)
    else:
        left_lengths = _beginnings([p.left for p in pairs], kept, len(start), len(middle))
    return Tokenized(list(rows), left_lengths, segmented)


def _beginnings(lefts: Sequence[str], kept: Rows, start: int, middle: int) -> Rows:
    """Tokens of each row's beginning: as many as the rows of its left side have in common.

    ``kept`` (rows,) counts the left side's tokens after its cut, which falls where the candidate
    needs it; ``start`` and ``middle`` those of the template around it. Each row's own head would
    leave candidates of unlike lengths nothing to share.
    """
    rows_of: dict[str, list[int]] = {}
    for row, left in enumerate(lefts):
        rows_of.setdefault(left, []).append(row)
    found = start + kept + middle
    for rows in rows_of.values():
        for group in _alike(np.array(rows), kept, middle):
            least = kept[group].min()
            if kept[group].max() > least:
                found[group] = start + least
    return found


def _alike(rows: Rows, kept: Rows, middle: int) -> Iterator[Rows]:
    """The rows by what is kept, longest first, parted where a head more costs fewer tokens.

    A row far shorter than the others would else take their beginning from them all.
    """
    group: Rows | None = None
    for level in np.unique(kept[rows])[::-1]:
        one = rows[kept[rows] == level]
        if group is None:
            group = one
            continue
        # Joined, all but one of the group read once more what they have beyond this level.
        lost = (len(group) - 1) * (kept[group].min() - level) + (len(group) + len(one)) * middle
        if lost > level + middle:
            yield group
            group = one
        else:
            group = np.concatenate([group, one])
    if group is not None:
        yield group


def token_ids(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], **options: Any
) -> Iterator[list[int]]:
    """The ids of each text, encoded some thousands at a time; ``options`` are the tokenizer's."""
    for start in range(0, len(texts), _AT_ONCE):
        yield from tokenizer(list(texts[start : start + _AT_ONCE]), **options)["input_ids"]


def _distinct_ids(
    tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], most: int
) -> dict[str, Ids]:
    """The first ``most`` ids of each text, more than which no pair can hold.

    Pairs share queries and documents: each text is encoded once, however many pairs have it.
    """
    distinct = list(dict.fromkeys(texts))
    found = _ids(tokenizer, distinct)
    return {
        text: np.array(ids[:most], dtype=np.int32)
        for text, ids in zip(distinct, found, strict=True)
    }


def _framed(left: Ids, right: Ids, frame: Frame, max_tokens: int) -> tuple[Ids, int]:
    """A pair's ids between the template's, cut to fit, and how many of them are the left side's."""
    start, middle, end = frame
    own = len(start) + len(middle) + len(end)
    room = max_tokens - own
    if room < 2:
        raise CookbookError(
            f"A pair needs room beside the template's own {own} tokens; max_tokens is "
            f"{max_tokens}. Raise max_tokens."
        )
    kept_left = left[: max(room // 2, room - len(right))]
    kept_right = right[: room - len(kept_left)]
    return np.concatenate([start, kept_left, middle, kept_right, end]), len(kept_left)


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Iterator[list[int]]:
    return token_ids(tokenizer, texts, add_special_tokens=False, verbose=False)


def _frame(tokenizer: PreTrainedTokenizerBase, template: InputTemplate, segmented: bool) -> Frame:
    if segmented:
        parts = [[tokenizer.cls_token_id], [tokenizer.sep_token_id], [tokenizer.sep_token_id]]
    else:
        parts = [*_ids(tokenizer, [template.prefix, "\n", template.suffix])]
    before, between, after = (np.array(part, dtype=np.int32) for part in parts)
    return before, between, after


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
