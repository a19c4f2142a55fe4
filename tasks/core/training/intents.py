"""Query intent: a query falls into one of several classes. The same scorer, loop and folder.

Source: query intent is one of DeText's tasks (Guo et al., arXiv 2008.02460).
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tasks.core.inputs import InputTemplate, PairText
from tasks.core.intervals import share_interval
from tasks.core.labeling.agreement import confusion_matrix
from tasks.core.training.architecture import freeze_embeddings
from tasks.core.training.base_models import BaseModel
from tasks.core.training.loop import (
    Examples,
    Optimization,
    Progress,
    Targets,
    TrainingReport,
    train,
)
from tasks.core.training.losses import grade_cross_entropy
from tasks.core.training.processes import shared_out
from tasks.core.training.scorer import Outputs, PairScorer
from tasks.core.training.token_store import stored

Ints = npt.NDArray[np.int64]


def intent_outputs(intents: Sequence[str]) -> Outputs:
    """One logit per intent under its own name, in sorted order; no grades."""
    return Outputs(0, tuple(sorted(set(intents))))


def intent_template(base: BaseModel, max_tokens: int) -> InputTemplate:
    """The query alone; a causal model is asked for the intent, and answers at the end."""
    if base.is_causal():
        return InputTemplate(max_tokens=max_tokens, prefix="Query: ", suffix="Intent: ")
    return InputTemplate(max_tokens=max_tokens)


def as_texts(queries: Sequence[str]) -> list[PairText]:
    """A query is the left side of a pair that has no right one."""
    return [PairText(query, "") for query in queries]


@shared_out
def train_intents(
    scorer: PairScorer,
    queries: Sequence[str],
    intents: Ints,
    optimization: Optimization,
    *,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
) -> TrainingReport:
    """Learn in place each query's class, a number of the scorer's outputs, by cross-entropy."""
    torch.manual_seed(optimization.seed)
    freeze_embeddings(scorer.model)
    certain = torch.eye(scorer.outputs.size)[torch.from_numpy(intents)]

    def loss(logits: Tensor, batch: Targets) -> Tensor:
        ones = torch.ones(len(logits), device=logits.device)
        return grade_cross_entropy(logits, batch["intent"], weights=ones)

    tokens = stored(partial(scorer.tokenize, as_texts(queries)), checkpoints)
    examples = Examples(tokens, np.arange(len(queries)), {"intent": certain})
    return train(scorer, examples, loss, optimization, checkpoints=checkpoints, progress=progress)


def intent_figures(names: Sequence[str], actual: Ints, predicted: Ints) -> dict[str, Any]:
    """Accuracy with its 95% interval, and the confusion: rows actual, columns predicted.

    ``most_common`` is the accuracy of who always names the commonest class.
    """
    confusion = confusion_matrix(actual, predicted, len(names))
    right, asked = int(np.trace(confusion)), len(actual)
    return {
        "intents": list(names),
        "accuracy": share_interval(right, asked).to_json(),
        "most_common": float(confusion.sum(axis=1).max() / len(actual)),
        "confusion": confusion.tolist(),
    }
