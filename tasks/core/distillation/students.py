"""Multi-teacher distillation: one student learns every teacher's stored soft labels at once.

Teachers are a list. Each has a kind of target, a temperature and a weight; policy and click
are the two that ship, and the base encoder's cosine is a listwise third.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tasks.core.inputs import PairText
from tasks.core.training.architecture import freeze_embeddings
from tasks.core.training.loop import (
    Examples,
    Loss,
    Optimization,
    Progress,
    Targets,
    TrainingReport,
    train,
)
from tasks.core.training.losses import action_kl, expected_grade, grade_kl, listwise_kl
from tasks.core.training.scorer import PairScorer
from tasks.core.training.teachers import COSINE_SCALE, GRADE_SCALE

Kind = Literal["grades", "actions", "listwise"]


@dataclass(frozen=True)
class Teacher:
    """A teacher as the student sees it: raw soft labels, NaN where a row has no target.

    ``targets`` are logits (pairs, grades), logits (pairs, actions), or scores (pairs, 1).
    """

    name: str
    kind: Kind
    weight: float
    temperature: float
    targets: npt.NDArray[np.float32]


def distill(
    student: PairScorer,
    pairs: Sequence[PairText],
    queries: npt.NDArray[np.int64],
    teachers: Sequence[Teacher],
    optimization: Optimization,
    *,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
) -> TrainingReport:
    """Teach the student in place; no teacher runs, since soft labels are stored raw."""
    freeze_embeddings(student.model)
    targets: Targets = {"query": torch.from_numpy(queries)}
    targets |= {teacher.name: torch.from_numpy(teacher.targets) for teacher in teachers}
    examples = Examples(student.tokenize(pairs), queries, targets)
    loss = distillation_loss(teachers, student.outputs.grade_count)
    return train(student, examples, loss, optimization, checkpoints=checkpoints, progress=progress)


def distillation_loss(teachers: Sequence[Teacher], grade_count: int) -> Loss:
    """The weighted sum of every teacher's KL; each is zero where the student agrees with it."""

    def loss(logits: Tensor, batch: Targets) -> Tensor:
        total = torch.zeros((), device=logits.device)
        for teacher in teachers:
            one = _loss_of(teacher, logits, batch[teacher.name], batch["query"], grade_count)
            total = total + teacher.weight * one
        return total

    return loss


def _loss_of(
    teacher: Teacher, logits: Tensor, targets: Tensor, queries: Tensor, grade_count: int
) -> Tensor:
    known = targets.isfinite()
    targets = targets.nan_to_num()
    grades, actions = logits[:, :grade_count], logits[:, grade_count:]
    if teacher.kind == "grades":
        weights = known.all(dim=1).to(logits.dtype)
        return grade_kl(grades, targets, temperature=teacher.temperature, weights=weights)
    if teacher.kind == "actions":
        weights = known.to(logits.dtype)
        return action_kl(actions, targets, temperature=teacher.temperature, weights=weights)
    rows = known[:, 0]
    return listwise_kl(
        GRADE_SCALE * expected_grade(grades)[rows],
        COSINE_SCALE * targets[rows, 0],
        queries[rows],
        temperature=teacher.temperature,
    )
