"""Unit-length text embeddings of a base encoder: mean over tokens, as it was pretrained."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, AutoTokenizer

from tasks.core.training.precision import autocast, best_device
from tasks.core.training.tokens import Tokenized, chunks_by_tokens, pad

Floats = npt.NDArray[np.float32]


class TextEncoder:
    """A pretrained encoder that turns texts into comparable vectors.

    Source: sentence-transformers' all-MiniLM-L6-v2 model card: mean pooling, then length one.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder, use_safetensors=True)
        self._model.eval().to(best_device())

    @torch.inference_mode()
    def embed(
        self, texts: Sequence[str], *, max_tokens: int, tokens_per_batch: int = 4096
    ) -> Floats:
        """Embeddings of shape (texts, width); the dot product of two is their cosine."""
        device = best_device()
        ids = self._tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"]
        arrays = [np.array(row, dtype=np.int32) for row in ids]
        lengths = np.array([len(row) for row in arrays], dtype=np.int64)
        tokens = Tokenized(arrays, lengths, True)
        result = np.empty((len(arrays), self._model.config.hidden_size), dtype=np.float32)
        for rows in chunks_by_tokens(lengths, tokens_per_batch):
            batch = pad(tokens, rows, self._tokenizer, device)
            with autocast(device):
                states = self._model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1)
            means = (states * mask).sum(dim=1) / mask.sum(dim=1)
            result[rows] = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        return result
