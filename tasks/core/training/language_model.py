"""A causal model as it was pretrained, before it becomes a scorer."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tasks.core.training.architecture import switch_dropout_off
from tasks.core.training.scorer import own_weights


@dataclass
class LanguageModel:
    """A causal model with the head it was pretrained with, which writes."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    def save(self, folder: Path) -> None:
        """Write a folder of plain transformers."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path) -> "LanguageModel":
        """A saved one in float32, dropout off."""
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True
        )
        own_weights(model)
        switch_dropout_off(model)
        return cls(model, AutoTokenizer.from_pretrained(folder))
