"""Unit-length text embeddings of a base encoder: mean over tokens, as it was pretrained."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tasks.core.training.base_models import BaseModel, encoder_of
from tasks.core.training.precision import autocast, best_device
from tasks.core.training.tokens import Tokenized, chunks_by_tokens, pad, token_ids

Floats = npt.NDArray[np.float32]
_FIXED_ROWS = 16


class TextEncoder:
    """A pretrained encoder that turns texts into comparable vectors.

    Source: sentence-transformers' all-MiniLM-L6-v2 model card: mean pooling, then length one.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        model.train(False)
        torch.nn.Module.to(model, best_device())
        self._model = model

    @classmethod
    def of(cls, base: BaseModel) -> "TextEncoder":
        """The encoder with a base model's first weights."""
        model, tokenizer = encoder_of(base)
        return cls(model, tokenizer)

    @torch.inference_mode()
    def embed(
        self, texts: Sequence[str], *, max_tokens: int, tokens_per_batch: int = 4096
    ) -> Floats:
        """Embeddings of shape (texts, width); the dot product of two is their cosine."""
        device = best_device()
        ids = token_ids(self._tokenizer, texts, truncation=True, max_length=max_tokens)
        arrays = [np.array(row, dtype=np.int32) for row in ids]
        lengths = np.array([len(row) for row in arrays], dtype=np.int64)
        tokens = Tokenized(arrays, lengths, True)
        result = np.empty((len(arrays), self._model.config.hidden_size), dtype=np.float32)
        for rows in chunks_by_tokens(lengths, tokens_per_batch):
            result[rows] = self._embed_batch(pad(tokens, rows, self._tokenizer, device), device)
        return result

    @torch.inference_mode()
    def token_vectors(
        self, texts: Sequence[str], *, max_tokens: int
    ) -> list[npt.NDArray[np.float16]]:
        """Vectors of each text's tokens, shape (tokens, width); the first and last are marks.

        A text's vectors do not depend on its neighbors by a single bit: batches have one fixed
        shape, padded with empty texts, so that whichever texts happen to be asked for together,
        as requests to a server are, each gets the same answer.
        """
        device = best_device()
        padded = [*texts, *[""] * (-len(texts) % _FIXED_ROWS)]
        encoded = self._tokenizer(
            padded,
            truncation=True,
            max_length=max_tokens,
            padding="max_length",
            return_tensors="pt",
        ).to(device)
        found: list[npt.NDArray[np.float16]] = []
        for start in range(0, len(padded), _FIXED_ROWS):
            batch = {name: rows[start : start + _FIXED_ROWS] for name, rows in encoded.items()}
            with autocast(device):
                states = self._model(**batch).last_hidden_state.cpu().to(torch.float16).numpy()
            sizes = batch["attention_mask"].sum(dim=1).tolist()
            found.extend(row[:size] for row, size in zip(states, sizes, strict=True))
        return found[: len(texts)]

    def _embed_batch(self, batch: dict[str, torch.Tensor], device: torch.device) -> Floats:
        with autocast(device):
            states = self._model(**batch).last_hidden_state.float()
        mask = batch["attention_mask"].unsqueeze(-1)
        means = (states * mask).sum(dim=1) / mask.sum(dim=1)
        vectors: Floats = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        return vectors
