"""Vocabulary trimming: tokens that no text of the domain uses give their embeddings back.

What stays is enough for any text: single characters (of a byte-level vocabulary: single bytes),
short pieces and special tokens. The domain's texts keep every token, so no logit of theirs moves.

Source: multilingual models cut to the languages they serve (Abdaoui et al., arXiv 2010.05609).
"""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from tasks.core.errors import CookbookError
from tasks.core.training.scorer import PairScorer
from tasks.core.training.tokens import token_ids

# Pieces of so many characters stay, used or not. Words that MiniLM's vocabulary knows and
# job_search's texts lack fall into 2.8 pieces on average; with single characters alone into 4.1.
SHORT_PIECE = 3
TOKENIZER_FILE = "tokenizer.json"
# A tokenizer as its own JSON, and the new number of every old token id that stays.
State = dict[str, Any]
Renumbered = dict[int, int]


def trim_vocabulary(scorer: PairScorer, texts: Sequence[str]) -> None:
    """Keep the tokens that these texts use, and what any other text needs, in place.

    Token strings and logits of the texts stay equal to the last bit; other texts keep their
    special tokens and gain no unknown one, but a word whose token went falls into pieces. Kept
    tokens keep their order, so the same texts give the same folder.

    Raises:
        CookbookError: the tokenizer is neither WordPiece nor byte-level BPE.
    """
    state: State = json.loads(scorer.tokenizer.backend_tokenizer.to_str())
    _check(state["model"])
    template = scorer.template
    framed = [*texts, template.prefix, "\n", template.suffix]
    kept = _used(scorer.tokenizer, framed) | _always(state)
    if state["model"]["type"] == "BPE":
        kept |= _parts(kept, state["model"]["merges"])
    ids = scorer.tokenizer.get_vocab()
    new_ids = {old: new for new, old in enumerate(sorted(ids[token] for token in kept))}
    _renumber(state, kept, new_ids)
    scorer.tokenizer = _reread(scorer.tokenizer, state)
    assert scorer.tokenizer.get_vocab() == {token: new_ids[ids[token]] for token in kept}
    _cut_embeddings(scorer.model, new_ids)


def _check(model: State) -> None:
    whole_bytes = not (model.get("byte_fallback") or model.get("end_of_word_suffix"))
    if model["type"] == "WordPiece" or (model["type"] == "BPE" and whole_bytes):
        return
    raise CookbookError(
        f"Only WordPiece and byte-level BPE vocabularies can be trimmed; came {model['type']}. "
        "Leave trim_vocabulary off for this base model."
    )


def _used(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> set[str]:
    ids: set[int] = set()
    for row in token_ids(tokenizer, texts, add_special_tokens=False, verbose=False):
        ids.update(row)
    return set(tokenizer.convert_ids_to_tokens(sorted(ids)))


def _always(state: State) -> set[str]:
    """Added tokens, the unknown token, single characters and short pieces.

    A piece of a trained vocabulary consists of characters that stand in it as pieces too, so a
    word that had pieces before still has them.
    """
    model = state["model"]
    prefix = model.get("continuing_subword_prefix") or ""
    short = {token for token in model["vocab"] if len(token.removeprefix(prefix)) <= SHORT_PIECE}
    unknown = {model["unk_token"]} if model.get("unk_token") else set()
    return short | unknown | {token["content"] for token in state["added_tokens"]}


def _parts(tokens: Iterable[str], merges: Sequence[Sequence[str]]) -> set[str]:
    """Every token that stands on the way from single characters to these tokens.

    Merging inside a token does not depend on what stands around it, so with these the texts'
    words are merged as before.
    """
    ranks = {tuple(merge): rank for rank, merge in enumerate(merges)}
    found: set[str] = set()
    for token in tokens:
        symbols = [*token]
        while pairs := [pair for pair in pairwise(symbols) if pair in ranks]:
            symbols = _merged(symbols, min(pairs, key=ranks.__getitem__))
            found.update(symbols)
    return found


def _merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """The symbols with the first such pair made one."""
    place = next(i for i, two in enumerate(pairwise(symbols)) if two == pair)
    return [*symbols[:place], "".join(pair), *symbols[place + 2 :]]


def _renumber(state: State, kept: set[str], new_ids: Renumbered) -> None:
    """Cut a tokenizer's JSON to the kept tokens, with their new ids, in place."""
    model = state["model"]
    model["vocab"] = {token: new_ids[old] for token, old in model["vocab"].items() if token in kept}
    if "merges" in model:
        model["merges"] = [
            [left, right]
            for left, right in model["merges"]
            if {left, right, left + right} <= model["vocab"].keys()
        ]
    for token in state["added_tokens"]:
        token["id"] = new_ids[token["id"]]
    if state["padding"]:
        state["padding"]["pad_id"] = new_ids[state["padding"]["pad_id"]]
    processor = state["post_processor"] or {}
    for part in processor.get("processors", [processor]):
        for token in part.get("special_tokens", {}).values():
            token["ids"] = [new_ids[old] for old in token["ids"]]


def _reread(tokenizer: PreTrainedTokenizerBase, state: State) -> PreTrainedTokenizerBase:
    """The tokenizer with this JSON, read from a folder as every later load will read it."""
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        text = json.dumps(state, ensure_ascii=False)
        (Path(folder) / TOKENIZER_FILE).write_text(text, encoding="utf-8")
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    return found


def _cut_embeddings(model: PreTrainedModel, new_ids: Renumbered) -> None:
    """Keep the rows of the kept tokens; the configuration's special tokens get their new ids."""
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, nn.Embedding)
    rows = torch.tensor(list(new_ids), device=embedding.weight.device)
    embedding.weight = nn.Parameter(embedding.weight.detach()[rows].clone())
    embedding.num_embeddings = len(new_ids)
    if embedding.padding_idx is not None:
        embedding.padding_idx = new_ids[embedding.padding_idx]
    config = model.config
    config.vocab_size = len(new_ids)
    for name, value in config.to_dict().items():
        if name.endswith("_token_id") and value is not None:
            setattr(config, name, new_ids.get(value))
