"""Multi-teacher distillation: one student learns every teacher's soft labels, stored or live.

Teachers are a list. Each has a kind of target, a temperature and a weight; policy and click
are the two that ship, and the order of first-stage retrieval is a listwise third.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
from tasks.core.training.losses import (
    action_kl,
    expected_grade,
    grade_kl,
    lambda_rank,
    listwise_kl,
    margin_mse,
)
from tasks.core.training.processes import shared_out
from tasks.core.training.scorer import GOALS, Goal, PairScorer
from tasks.core.training.teachers import GRADE_SCALE
from tasks.core.training.token_store import stored
from tasks.core.training.tokens import Rows

Kind = Literal["grades", "actions", "listwise", "margin", "lambda_rank"]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Teacher:
    """A teacher as the student sees it: raw soft labels, NaN where a row has no target.

    ``targets`` are grade logits (pairs, grades), action logits (pairs, actions), or, for the
    kinds that compare a query's candidates, scores (pairs, 1) on the scale of grades.
    ``row_weights`` (pairs,) are 1 where there are none. A ``live`` teacher has no columns of
    ``targets``, and is asked for those of a step's rows when the step comes.
    """

    name: str
    kind: Kind
    weight: float
    temperature: float
    targets: Floats
    row_weights: Floats | None = None
    live: Callable[[Rows], Floats] | None = None

    @property
    def key(self) -> str:
        """What its targets are found by: who teaches in two kinds has two."""
        return f"{self.name}_{self.kind}"

    def opinion(self) -> npt.NDArray[np.float64]:
        """What it ranks candidates by: expected grade, first action's logit or score; (pairs,)."""
        if self.kind == "grades":
            found: npt.NDArray[np.float64] = (
                expected_grade(torch.from_numpy(self.targets)).numpy().astype(np.float64)
            )
            return found
        return self.targets[:, 0].astype(np.float64)

    def tensors(self) -> Targets:
        """Targets and row weights by the keys under which the loss finds them."""
        weights = self.row_weights
        if weights is None:
            weights = np.ones(len(self.targets), dtype=np.float32)
        return {
            self.key: torch.from_numpy(np.ascontiguousarray(self.targets)),
            f"{self.key}.weights": torch.from_numpy(weights),
        }


@shared_out
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
    """Teach the student in place; no teacher runs but a live one, since soft labels are stored."""
    student.taught = taught_by(teachers)
    freeze_embeddings(student.model)
    targets: Targets = {"query": torch.from_numpy(queries), "row": torch.arange(len(pairs))}
    for teacher in teachers:
        targets |= teacher.tensors()
    examples = Examples(stored(partial(student.tokenize, pairs), checkpoints), queries, targets)
    loss = distillation_loss(teachers, student.outputs.grade_count)
    return train(student, examples, loss, optimization, checkpoints=checkpoints, progress=progress)


def taught_by(teachers: Sequence[Teacher]) -> tuple[Goal, ...]:
    """The goals that some teacher with a weight has a target for."""
    goals = {_goal(teacher) for teacher in teachers if teacher.weight}
    return tuple(goal for goal in GOALS if goal in goals)


def _goal(teacher: Teacher) -> Goal:
    return "actions" if teacher.kind == "actions" else "grades"


def distillation_loss(teachers: Sequence[Teacher], grade_count: int) -> Loss:
    """The weighted sum of every teacher's loss; each is zero where the student agrees with it.

    LambdaRank is the exception: it has no zero, since a greater margin is always better. Who has no
    weight is not asked, which spares a live teacher's pass; where nobody has one, the loss is zero.
    """
    heard = [teacher for teacher in teachers if teacher.weight] or teachers

    def loss(logits: Tensor, batch: Targets) -> Tensor:
        total = torch.zeros((), device=logits.device)
        for teacher in heard:
            pointwise = teacher.kind in ("grades", "actions")
            of_teacher = _pointwise if pointwise else _compared
            said = _with_live(teacher, batch)
            total = total + teacher.weight * of_teacher(teacher, logits, said, grade_count)
        return total

    return loss


def _with_live(teacher: Teacher, batch: Targets) -> Targets:
    """The batch with what a live teacher says of its rows."""
    if teacher.live is None:
        return batch
    rows = batch["row"]
    return {
        **batch,
        teacher.key: torch.from_numpy(teacher.live(rows.cpu().numpy())).to(rows.device),
    }


def _pointwise(teacher: Teacher, logits: Tensor, batch: Targets, grade_count: int) -> Tensor:
    targets, weights = batch[teacher.key], batch[f"{teacher.key}.weights"]
    known = targets.isfinite()
    targets, temperature = targets.nan_to_num(), teacher.temperature
    if teacher.kind == "grades":
        weights = known.all(dim=1).to(logits.dtype) * weights
        student = logits[:, :grade_count]
        return grade_kl(student, targets, temperature=temperature, weights=weights)
    weights = known.to(logits.dtype) * weights[:, None]
    student = logits[:, grade_count:]
    return action_kl(student, targets, temperature=temperature, weights=weights)


def _compared(teacher: Teacher, logits: Tensor, batch: Targets, grade_count: int) -> Tensor:
    """Kinds that compare a query's candidates: rows without target or weight are left out."""
    targets, weights = batch[teacher.key][:, 0], batch[f"{teacher.key}.weights"]
    rows = targets.isfinite() & (weights > 0)
    student, target = expected_grade(logits[:, :grade_count])[rows], targets[rows]
    queries, temperature = batch["query"][rows], teacher.temperature
    weights = weights[rows].to(student.dtype)
    if teacher.kind == "listwise":
        student, target = GRADE_SCALE * student, GRADE_SCALE * target
        return listwise_kl(student, target, queries, temperature=temperature, weights=weights)
    compare = margin_mse if teacher.kind == "margin" else lambda_rank
    return compare(student, target, queries, weights=weights)
