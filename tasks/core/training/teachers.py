"""The two teachers that ship: one learns the judge's grades, one learns what members do."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tasks.core.inputs import PairText
from tasks.core.training.architecture import freeze_embeddings, with_lora
from tasks.core.training.loop import (
    Examples,
    Loss,
    Optimization,
    Progress,
    Targets,
    TrainingReport,
    train,
)
from tasks.core.training.losses import (
    action_cross_entropy,
    expected_grade,
    grade_cross_entropy,
    listwise_kl,
)
from tasks.core.training.processes import shared_out
from tasks.core.training.scorer import PairScorer
from tasks.core.training.token_store import stored

# Retrieval's scores, spread so that a softmax over ten candidates prefers the nearest ones
# without naming one winner: cosines of all-MiniLM lie mostly between 0 and 0.7.
RETRIEVAL_SCALE = 12.0
GRADE_SCALE = 2.0


@dataclass(frozen=True)
class Lora:
    """Adapter size; the update is scaled by alpha / rank."""

    rank: int
    alpha: int


@shared_out
def train_policy_teacher(
    scorer: PairScorer,
    pairs: Sequence[PairText],
    grade_probabilities: npt.NDArray[np.float64],
    queries: npt.NDArray[np.int64],
    retrieval: npt.NDArray[np.float64],
    optimization: Optimization,
    *,
    lora: Lora | None,
    weights: npt.NDArray[np.float64] | None = None,
    listwise_weight: float = 0.0,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
) -> TrainingReport:
    """Learn grade distributions, shape (pairs, grades), in place; ``weights`` (pairs,), else 1.

    With ``listwise_weight`` the order of first-stage retrieval, (pairs,), is a second, listwise
    teacher: what the encoder knew about similarity would otherwise be lost in fine-tuning.
    """
    scorer.taught = ("grades",)
    grades = scorer.outputs.grade_count
    targets = {
        "probabilities": torch.tensor(grade_probabilities, dtype=torch.float32),
        "weight": torch.tensor(
            np.ones(len(pairs)) if weights is None else weights, dtype=torch.float32
        ),
        "retrieval": torch.tensor(retrieval, dtype=torch.float32),
        "query": torch.from_numpy(queries),
    }

    def loss(logits: Tensor, batch: Targets) -> Tensor:
        given, weight = batch["probabilities"], batch["weight"]
        total = grade_cross_entropy(logits[:, :grades], given, weights=weight)
        if listwise_weight:
            total = total + listwise_weight * listwise_kl(
                GRADE_SCALE * expected_grade(logits[:, :grades]),
                RETRIEVAL_SCALE * batch["retrieval"],
                batch["query"],
                temperature=1.0,
            )
        return total

    examples = Examples(stored(partial(scorer.tokenize, pairs), checkpoints), queries, targets)
    return _train(scorer, examples, loss, optimization, lora, checkpoints, progress)


@shared_out
def train_click_teacher(
    scorer: PairScorer,
    pairs: Sequence[PairText],
    actions: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    lists: npt.NDArray[np.int64],
    optimization: Optimization,
    *,
    lora: Lora | None,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
) -> TrainingReport:
    """Learn the actions, shape (pairs, actions), in place; the grade logits have no target.

    ``weights`` of the same shape carry 1/propensity and the mask of rare actions.
    """
    scorer.taught = ("actions",)
    grades = scorer.outputs.grade_count
    targets = {
        "actions": torch.tensor(actions, dtype=torch.float32),
        "weights": torch.tensor(weights, dtype=torch.float32),
    }

    def loss(logits: Tensor, batch: Targets) -> Tensor:
        return action_cross_entropy(logits[:, grades:], batch["actions"], weights=batch["weights"])

    examples = Examples(stored(partial(scorer.tokenize, pairs), checkpoints), lists, targets)
    return _train(scorer, examples, loss, optimization, lora, checkpoints, progress)


def click_weights(
    actions: npt.NDArray[np.float64],
    lists: npt.NDArray[np.int64],
    inverse_propensities: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Weight of each row and action, (rows, actions): 1 / propensity where taken, else 1.

    A click far down speaks for all that were never looked at. A row without a click must not
    weigh more for standing far down: it says less there, not more, and weighing it by its
    place teaches the old ranker's order backwards. ``inverse_propensities`` has shape (rows,).

    Source: Joachims, Swaminathan and Schnabel, arXiv 1608.04468, section 4.
    """
    taken = np.where(actions > 0, inverse_propensities[:, None], 1.0)
    return rare_action_weights(actions, lists) * taken


def rare_action_weights(
    actions: npt.NDArray[np.float64], lists: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """1 where a row counts for an action, else 0; both (rows, actions), ``lists`` (rows,).

    Every row counts for the first action (the click). For the later, rarer ones only rows shown
    beside a positive one count: elsewhere the member was not about to act at all, and such
    negatives crush the scores.

    Source: LinkedIn masks rare actions this way (arXiv 2602.07309, second-hand notes).
    """
    counts = np.zeros((int(lists.max()) + 1, actions.shape[1]))
    np.add.at(counts, lists, actions)
    weights = (counts[lists] > 0).astype(np.float64)
    weights[:, 0] = 1.0
    return weights


def _train(
    scorer: PairScorer,
    examples: Examples,
    loss: Loss,
    optimization: Optimization,
    lora: Lora | None,
    checkpoints: Path | None,
    progress: Progress | None,
) -> TrainingReport:
    plain = scorer.model
    # The adapters' first weights are random: without this, what ran before in the process
    # would decide them, and a resumed run would end with another teacher.
    torch.manual_seed(optimization.seed)
    if lora is None:
        freeze_embeddings(plain)
    else:
        scorer.model = with_lora(plain, rank=lora.rank, alpha=lora.alpha)  # type: ignore[assignment]
    report = train(
        scorer,
        examples,
        loss,
        optimization,
        checkpoints=checkpoints,
        progress=progress,
    )
    if lora is not None:
        scorer.model = scorer.model.merge_and_unload()  # type: ignore[operator]
    return report
