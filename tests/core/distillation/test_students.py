"""Students: no loss where they agree with every teacher, none from rows without a target."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from tasks.core.distillation.students import Kind, Teacher, distill, distillation_loss, taught_by
from tasks.core.training.base_models import Source
from tasks.core.training.loop import Optimization
from tasks.core.training.losses import action_kl, expected_grade, grade_kl
from tasks.core.training.tokens import Rows
from tests.core.training.tiny import FAMILIES, pairs_of, tiny_scorer

QUERIES = torch.tensor([0, 0, 0, 1, 1, 1])


def normal(columns: int, seed: int = 0) -> Tensor:
    return torch.randn(6, columns, generator=torch.Generator().manual_seed(seed))


def teacher_of(kind: Kind, targets: Tensor, *, weight: float = 1.0) -> Teacher:
    return Teacher(kind, kind, weight, 2.0, targets.numpy())


def loss_of(teachers: list[Teacher], logits: Tensor) -> Tensor:
    """The loss of a student of three grades and two actions."""
    batch: dict[str, Tensor] = {"query": QUERIES}
    for teacher in teachers:
        batch |= teacher.tensors()
    return distillation_loss(teachers, 3)(logits, batch)


def agreeing(logits: Tensor) -> list[Teacher]:
    order = expected_grade(logits[:, :3])
    return [
        teacher_of("grades", logits[:, :3]),
        teacher_of("actions", logits[:, 3:].contiguous()),
        teacher_of("listwise", order[:, None]),
        teacher_of("margin", order[:, None]),
    ]


def test_a_student_equal_to_all_its_teachers_has_no_loss() -> None:
    logits = normal(5)
    assert loss_of(agreeing(logits), logits).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_disagreeing_with_any_one_teacher_costs(number: int) -> None:
    teacher = agreeing(normal(5))[number]
    assert loss_of([teacher], normal(5, seed=1)).item() > 0.01


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_row_without_a_target_gets_no_gradient(number: int) -> None:
    teacher = agreeing(normal(5))[number]
    teacher.targets[2] = np.nan
    logits = normal(5, seed=1).requires_grad_()
    loss_of([teacher], logits).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert not logits.grad[2].any()
    assert logits.grad[[0, 1, 3, 4, 5]].abs().sum(dim=1).min() > 0


def test_a_teacher_without_any_target_in_a_batch_is_silent() -> None:
    logits = normal(5, seed=1).requires_grad_()
    teachers = agreeing(normal(5))
    for teacher in teachers:
        teacher.targets[:] = np.nan
    loss = loss_of(teachers, logits)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("kind", ["grades", "actions", "listwise", "margin", "lambda_rank"])
def test_a_row_without_weight_gets_no_gradient(kind: Kind) -> None:
    targets = {"grades": normal(3), "actions": normal(2)}.get(kind, normal(1).abs())
    weights = np.array([1, 1, 0, 1, 1, 1], dtype=np.float32)
    teacher = replace(teacher_of(kind, targets), row_weights=weights)
    logits = normal(5, seed=1).requires_grad_()
    loss_of([teacher], logits).backward()
    assert logits.grad is not None
    assert not logits.grad[2].any()
    assert logits.grad[[0, 1, 3, 4, 5]].abs().sum(dim=1).min() > 0


@pytest.mark.parametrize("kind", ["grades", "actions", "listwise", "margin", "lambda_rank"])
def test_a_row_of_less_weight_moves_the_student_less(kind: Kind) -> None:
    """Of one query whose teachers agree less, against another of full weight."""
    targets = {"grades": normal(3), "actions": normal(2)}.get(kind, normal(1).abs())
    moved = []
    for weight in (1.0, 0.5, 0.1):
        weights = np.array([weight] * 3 + [1.0] * 3, dtype=np.float32)
        teacher = replace(teacher_of(kind, targets), row_weights=weights)
        logits = normal(5, seed=1).requires_grad_()
        loss_of([teacher], logits).backward()
        assert logits.grad is not None
        moved.append((logits.grad[:3].norm() / logits.grad[3:].norm()).item())
    assert moved[1] < 0.6 * moved[0]
    assert moved[2] < 0.15 * moved[0]


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_weights_ask_nothing_of_a_student_that_agrees(number: int) -> None:
    """Weighing rows must not move the place of the least loss."""
    weights = np.array([1.0, 0.2, 0.7, 0.4, 1.0, 0.1], dtype=np.float32)
    logits = normal(5).requires_grad_()
    loss = loss_of([replace(agreeing(normal(5))[number], row_weights=weights)], logits)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_a_teacher_without_weight_is_not_asked() -> None:
    """A live one would run on every step's rows for nothing."""

    def asked(_: Rows) -> npt.NDArray[np.float32]:
        raise AssertionError("a teacher of weight 0 was asked")

    grades, actions = agreeing(normal(5))[:2]
    silent, logits = replace(actions, weight=0.0, live=asked), normal(5, seed=1)
    assert loss_of([grades, silent], logits) == loss_of([grades], logits)


def test_where_nobody_has_a_weight_nothing_moves_the_student() -> None:
    logits = normal(5, seed=1).requires_grad_()
    loss_of([replace(one, weight=0.0) for one in agreeing(normal(5))], logits).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_the_goals_that_teachers_with_a_weight_have_are_the_ones_taught() -> None:
    grades, actions = agreeing(normal(5))[:2]
    assert taught_by([actions, grades]) == ("grades", "actions")
    assert taught_by([replace(grades, weight=0.0), actions]) == ("actions",)
    assert taught_by([agreeing(normal(5))[2]]) == ("grades",)


def test_one_unknown_action_leaves_the_other_action_its_target() -> None:
    teacher = teacher_of("actions", normal(2))
    teacher.targets[4, 0] = np.nan
    logits = normal(5, seed=1).requires_grad_()
    loss_of([teacher], logits).backward()
    assert logits.grad is not None
    assert logits.grad[4, 3] == 0
    assert logits.grad[4, 4] != 0


def test_each_goal_reaches_its_own_outputs_alone() -> None:
    """The action logits keep still under the policy teacher, the grades under the click teacher."""
    for number, columns in ((0, slice(3, 5)), (1, slice(0, 3))):
        logits = normal(5, seed=1).requires_grad_()
        loss_of([agreeing(normal(5))[number]], logits).backward()
        assert logits.grad is not None
        assert not logits.grad[:, columns].any()
        assert logits.grad.any()


def test_alpha_weighs_the_two_goals() -> None:
    logits, grades, actions = normal(5, seed=1), normal(3, seed=2), normal(2, seed=3)
    alpha, ones = 0.3, torch.ones(6)
    policy = grade_kl(logits[:, :3], grades, temperature=2.0, weights=ones)
    click = action_kl(logits[:, 3:], actions, temperature=2.0, weights=ones[:, None].expand(6, 2))
    teachers = [
        teacher_of("grades", grades, weight=alpha),
        teacher_of("actions", actions, weight=1 - alpha),
    ]
    assert loss_of(teachers, logits).item() == pytest.approx((0.3 * policy + 0.7 * click).item())


@pytest.mark.parametrize("source", FAMILIES)
def test_a_student_comes_to_agree_with_both_teachers(source: Source) -> None:
    """A constant student keeps the loss it begins with; here less than a tenth may be left."""
    student, pairs = tiny_scorer(source, actions=("clicked",)), pairs_of(24)
    embeddings = student.model.get_input_embeddings().weight.clone()
    strong = np.array([("pilot" in pair.right) - 0.5 for pair in pairs], dtype=np.float32)
    grades = 3 * strong[:, None] * np.array([[-1, 0, 1]], dtype=np.float32)
    teachers = [
        Teacher("policy", "grades", 0.5, 1.0, grades),
        Teacher("click", "actions", 0.5, 1.0, -4 * strong[:, None]),
    ]
    optimization = Optimization(
        epochs=40, learning_rate=3e-3, head_learning_rate=1e-2, rows_per_step=12, list_size=4
    )
    before = student.logits(pairs)
    distill(student, pairs, np.arange(24) // 4, teachers, optimization)
    after = student.logits(pairs)

    def disagreement(logits: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
        found, ones = torch.from_numpy(logits), torch.ones(24)
        policy = grade_kl(found[:, :3], torch.from_numpy(grades), temperature=1.0, weights=ones)
        click = torch.from_numpy(teachers[1].targets)
        clicks = action_kl(found[:, 3:], click, temperature=1.0, weights=ones[:, None])
        return float(policy + clicks)

    assert disagreement(after) < 0.1 * disagreement(before)
    assert torch.equal(student.model.get_input_embeddings().weight, embeddings)
