"""PairScorer: a sequence-classification model that turns a pair into grade and action logits.

One class for every role and both families. The folder it saves is plain transformers: config,
safetensors, tokenizer; ``cookbook.json`` beside them holds the input template, the names of
the outputs and the calibration. Another engine that loads the folder gives the same logits.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tasks.core.inputs import InputTemplate, PairText
from tasks.core.training.architecture import switch_dropout_off
from tasks.core.training.passes import Forward
from tasks.core.training.precision import (
    autocast,
    best_device,
    compute_dtype,
    device_of,
    hold_weights,
    scoring_slots,
)
from tasks.core.training.tokens import Tokenized, tokenize

CARD = "cookbook.json"
# What a scorer can be taught; the outputs of a goal that it was not taught say nothing.
Goal = Literal["grades", "actions"]
GOALS: tuple[Goal, ...] = ("grades", "actions")


@dataclass(frozen=True)
class Outputs:
    """Names of the logits: ``grade_count`` grades, then one output per action."""

    grade_count: int
    actions: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (*(f"grade_{grade}" for grade in range(self.grade_count)), *self.actions)

    @property
    def size(self) -> int:
        return self.grade_count + len(self.actions)


@dataclass
class PairScorer:
    """A model with its tokenizer, template and outputs; ``taught`` are the goals of these."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: InputTemplate
    outputs: Outputs
    base_model: str
    calibration: dict[str, Any] = field(default_factory=dict)
    taught: tuple[Goal, ...] = GOALS

    def tokenize(self, pairs: Sequence[PairText]) -> Tokenized:
        return tokenize(self.tokenizer, self.template, pairs)

    def logits(
        self, pairs: Sequence[PairText], *, tokens_per_batch: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Raw logits, shape (pairs, grades + actions), in the order given.

        What a log shows again and again is scored once: pairs that read alike are one.
        """
        number = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        tokenized = self.tokenize(list(number))
        logits = self.logits_of_tokens(tokenized, tokens_per_batch=tokens_per_batch)
        return logits[[number[pair] for pair in pairs]]

    @torch.inference_mode()
    def logits_of_tokens(
        self, tokenized: Tokenized, *, tokens_per_batch: int | None = None
    ) -> npt.NDArray[np.float32]:
        """As ``logits``. Encoders read rows of similar length, causal models share prefixes."""
        self.model.train(False)
        device = device_of(self.model)
        slots = tokens_per_batch or scoring_slots(device)
        forward = Forward(self.model, self.tokenizer)
        result = np.empty((len(tokenized), self.outputs.size), dtype=np.float32)
        precision = autocast(device) if self.model.dtype == torch.float32 else nullcontext()
        with forward.attention(), precision:
            for rows in forward.plan(tokenized, np.arange(len(tokenized)), slots):
                logits = forward(forward.batch(tokenized, rows, device))
                result[rows] = logits.float().cpu().numpy()
        return result

    def parameters(self) -> int:
        """Parameters of the model, embeddings included."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def save(self, folder: Path) -> None:
        """Write the folder; weights as safetensors in float32."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.config.id2label = dict(enumerate(self.outputs.names))
        self.model.config.label2id = {name: i for i, name in enumerate(self.outputs.names)}
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        self.write_card(folder)

    def write_card(self, folder: Path) -> None:
        """Write the template, outputs, goals and calibration beside the model's files."""
        card = {
            "template": self.template.to_json(),
            "grade_count": self.outputs.grade_count,
            "actions": list(self.outputs.actions),
            "base_model": self.base_model,
            "parameters": self.parameters(),
            "calibration": self.calibration,
            "taught": list(self.taught),
        }
        (folder / CARD).write_text(json.dumps(card, indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path, *, for_scoring: bool = False) -> "PairScorer":
        """A saved scorer in float32, to be trained, or as it scores: fast, and never saved.

        ``for_scoring`` puts it on the best device with weights in that device's format. Whole
        bfloat16 is faster than casting for each matrix product, and no further from float32.
        """
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True
        )
        own_weights(model)
        switch_dropout_off(model)
        if for_scoring:
            # In this order a card never holds them in float32, which is twice as much.
            hold_weights(model, compute_dtype(best_device()))
            model.to(best_device())
        return cls(
            model=model,
            tokenizer=AutoTokenizer.from_pretrained(folder),
            template=InputTemplate(**card["template"]),
            outputs=Outputs(card["grade_count"], tuple(card["actions"])),
            base_model=card["base_model"],
            calibration=card["calibration"],
            taught=goals_of(card),
        )


def template_in(folder: Path) -> InputTemplate:
    """The input template of a saved scorer, without its weights."""
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    return InputTemplate(**card["template"])


def own_weights(model: PreTrainedModel) -> None:
    """Copies the weights out of the mapped file into memory aligned as torch aligns its own.

    A processor's kernels sum in another order where memory is not aligned, so a scorer would
    score otherwise in the last bit than the one that was saved; and a file that shrinks under
    its mapping kills the process.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()


def goals_of(card: Mapping[str, Any]) -> tuple[Goal, ...]:
    """The goals a scorer's card says it was taught; both where it is too old to say."""
    return tuple(card.get("taught", GOALS))


def grade_probabilities(
    logits: npt.NDArray[np.floating[Any]], grade_count: int, *, temperature: float = 1.0
) -> npt.NDArray[np.float64]:
    """Softmax over the grade logits, shape (pairs, grades)."""
    scaled = logits[:, :grade_count].astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exponentials = np.exp(scaled)
    normalized: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return normalized


def relevance(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Expected grade over the top grade, in [0, 1]: (0, 0, 0, 0, 1) has relevance 1."""
    share: npt.NDArray[np.float64] = expected_grades(probabilities) / (probabilities.shape[1] - 1)
    return share


def expected_grades(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean grade of each pair, shape (pairs,), on the scale of the grades."""
    expected: npt.NDArray[np.float64] = probabilities @ np.arange(probabilities.shape[1])
    return expected


def single_grades(
    probabilities: npt.NDArray[np.float64], cuts: Sequence[float] | None
) -> npt.NDArray[np.int64]:
    """One grade a pair: the expected grade, cut where calibration found; else rounded half up.

    The most probable grade would jump between the ends of the scale where a model is unsure;
    quadratic kappa punishes just that. (0.4, 0, 0, 0.6) has the most probable grade 3 and
    the rounded grade 2.
    """
    edges = np.arange(1, probabilities.shape[1]) - 0.5 if cuts is None else np.asarray(cuts)
    return np.searchsorted(edges, expected_grades(probabilities), side="right")
