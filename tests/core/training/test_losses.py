"""Losses: zero at equality, right by hand and by scipy, blind to rows without a target."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, rel_entr, softmax
from torch import Tensor

from tasks.core.training.losses import (
    action_cross_entropy,
    action_kl,
    expected_grade,
    grade_cross_entropy,
    grade_kl,
    lambda_rank,
    listwise_kl,
    margin_mse,
    masked_mean,
)

QUERIES = torch.tensor([4, 4, 9, 9, 9])


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


KLS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "grades": lambda s, t, heat: grade_kl(s, t, temperature=heat, weights=torch.ones(5).double()),
    "actions": lambda s, t, heat: action_kl(
        s, t, temperature=heat, weights=torch.ones(5, 3).double()
    ),
    "listwise": lambda s, t, heat: listwise_kl(s[:, 0], t[:, 0], QUERIES, temperature=heat),
}


@pytest.mark.parametrize("kind", KLS)
def test_a_kl_is_zero_at_equality_and_positive_elsewhere(kind: str) -> None:
    teacher = normal(5, 3)
    assert KLS[kind](teacher, teacher, 2.0).item() == pytest.approx(0.0, abs=1e-15)
    assert KLS[kind](normal(5, 3, seed=1), teacher, 2.0).item() > 0.01


@pytest.mark.parametrize("kind", KLS)
def test_a_kl_has_no_gradient_at_equality(kind: str) -> None:
    teacher = normal(5, 3)
    student = teacher.clone().requires_grad_()
    KLS[kind](student, teacher, 3.0).backward()
    assert student.grad is not None
    assert student.grad.abs().max().item() < 1e-15


@pytest.mark.parametrize("kind", KLS)
def test_the_gradient_keeps_its_size_when_the_temperature_grows(kind: str) -> None:
    """Without T^2 it would shrink with the square: by 10,000 between these two temperatures."""

    def gradient(temperature: float) -> Tensor:
        student = normal(5, 3, seed=1).requires_grad_()
        KLS[kind](student, normal(5, 3), temperature).backward()
        assert student.grad is not None
        return student.grad

    warm, hot = gradient(1e3), gradient(1e5)
    assert (warm - hot).norm().item() < 0.01 * hot.norm().item()


def test_grade_kl_is_scipys_at_any_temperature() -> None:
    student, teacher, weights = normal(5, 4, seed=1), normal(5, 4), torch.rand(5).double()
    for temperature in (0.5, 1.0, 4.0):
        p = softmax(teacher.numpy() / temperature, axis=1)
        q = softmax(student.numpy() / temperature, axis=1)
        rows = rel_entr(p, q).sum(axis=1)
        reference = temperature**2 * np.average(rows, weights=weights.numpy())
        ours = grade_kl(student, teacher, temperature=temperature, weights=weights)
        assert ours.item() == pytest.approx(reference, rel=1e-12)


def test_action_kl_is_scipys_and_each_action_counts_the_same() -> None:
    student, teacher = normal(5, 2, seed=1), normal(5, 2)
    weights = torch.tensor([[1.0, 1.0], [1, 0], [1, 0], [1, 0], [1, 3]], dtype=torch.float64)
    p, q = expit(teacher.numpy() / 2), expit(student.numpy() / 2)
    rows = rel_entr(p, q) + rel_entr(1 - p, 1 - q)
    reference = 4 * (rows[:, 0].mean() + (rows[0, 1] + 3 * rows[4, 1]) / 4) / 2
    ours = action_kl(student, teacher, temperature=2.0, weights=weights)
    assert ours.item() == pytest.approx(reference, rel=1e-12)


def test_listwise_kl_is_scipys_mean_over_queries_not_over_rows() -> None:
    student, teacher = normal(5, seed=1), normal(5)

    def of(rows: slice) -> float:
        p, q = softmax(teacher[rows].numpy() / 2), softmax(student[rows].numpy() / 2)
        return float(rel_entr(p, q).sum())

    ours = listwise_kl(student, teacher, QUERIES, temperature=2.0)
    assert ours.item() == pytest.approx(4 * (of(slice(0, 2)) + of(slice(2, 5))) / 2, rel=1e-12)


def test_listwise_kl_by_hand() -> None:
    """Teacher (ln 3, 0) is (3/4, 1/4), student (0, 0) is (1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2)."""
    teacher = torch.tensor([math.log(3), 0.0], dtype=torch.float64)
    ours = listwise_kl(torch.zeros(2).double(), teacher, torch.tensor([1, 1]), temperature=1.0)
    assert ours.item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), rel=1e-12)


def test_a_listwise_candidate_of_weight_three_counts_as_three() -> None:
    student, teacher = normal(2), normal(2, seed=1)
    queries = torch.zeros(4, dtype=torch.long)
    copies = torch.tensor([0, 1, 1, 1])
    ours = listwise_kl(
        student, teacher, queries[:2], temperature=2.0, weights=torch.tensor([1.0, 3.0]).double()
    )
    plain = listwise_kl(student[copies], teacher[copies], queries, temperature=2.0)
    assert ours.item() == pytest.approx(plain.item())


def test_weights_of_pairs_are_the_products_of_their_rows() -> None:
    """By hand: margins off by 1, 1 and 2 in the pairs (0, 1), (1, 2) and (0, 2)."""
    teacher = torch.tensor([2.0, 1.0, 0.0]).double()
    weights = torch.tensor([1.0, 0.5, 0.2]).double()
    queries = torch.zeros(3, dtype=torch.long)
    found = margin_mse(torch.zeros(3).double(), teacher, queries, weights=weights)
    assert found.item() == pytest.approx((0.5 * 1 + 0.1 * 1 + 0.2 * 4) / 0.8)
    two, one = torch.tensor([0.0, 1.0]).double(), torch.tensor([1.0, 0.0]).double()
    plain = lambda_rank(two, one, queries[:2])
    weighed = lambda_rank(two, one, queries[:2], weights=weights[:2])
    assert weighed.item() == pytest.approx(0.5 * plain.item())


def test_listwise_kl_leaves_queries_with_one_candidate_out_of_the_mean() -> None:
    """Their softmax is certain: counted, they would shrink the loss and teach nothing."""
    student, teacher = normal(5, seed=1), normal(5)
    alone = listwise_kl(student[2:], teacher[2:], QUERIES[2:], temperature=1.0)
    mixed = listwise_kl(student, teacher, torch.tensor([1, 2, 9, 9, 9]), temperature=1.0)
    assert mixed.item() == pytest.approx(alone.item(), rel=1e-12)


def test_listwise_kl_of_lonely_rows_or_of_none_is_zero_with_a_gradient_of_zero() -> None:
    for count in (3, 0):
        student = normal(count, seed=1).requires_grad_()
        loss = listwise_kl(student, normal(count), torch.arange(count), temperature=1.0)
        loss.backward()
        assert loss.item() == 0.0
        assert student.grad is not None
        assert not student.grad.any()


def test_listwise_kl_forgets_a_shift_of_a_querys_scores_and_the_order_of_rows() -> None:
    student, teacher = normal(5, seed=1), normal(5)
    shift = torch.tensor([1e3, 1e3, -2e3, -2e3, -2e3], dtype=torch.float64)
    order = torch.tensor([3, 0, 4, 1, 2])
    plain = listwise_kl(student, teacher, QUERIES, temperature=1.0).item()
    moved = listwise_kl((student + shift)[order], teacher[order], QUERIES[order], temperature=1.0)
    assert moved.item() == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize(
    "loss",
    [
        lambda s, t, w: grade_kl(s, t, temperature=2.0, weights=w),
        lambda s, t, w: grade_cross_entropy(s, torch.softmax(t, 1), weights=w),
        lambda s, t, w: action_kl(s, t, temperature=2.0, weights=w[:, None].expand(-1, 3)),
        lambda s, t, w: action_cross_entropy(s, torch.sigmoid(t), weights=w[:, None].expand(-1, 3)),
    ],
)
class TestWeights:
    def test_a_masked_row_moves_neither_the_loss_nor_its_gradient(
        self, loss: Callable[..., Tensor]
    ) -> None:
        student, teacher = normal(5, 3, seed=1).requires_grad_(), normal(5, 3)
        masked = loss(student, teacher, torch.tensor([1.0, 1, 0, 1, 1]).double())
        masked.backward()
        kept = torch.tensor([0, 1, 3, 4])
        alone = loss(student[kept], teacher[kept], torch.ones(4).double())
        assert masked.item() == pytest.approx(alone.item(), rel=1e-12)
        assert student.grad is not None
        assert not student.grad[2].any()
        assert student.grad[kept].abs().min() > 0

    def test_weights_count_as_repeated_rows_and_their_unit_does_not_matter(
        self, loss: Callable[..., Tensor]
    ) -> None:
        student, teacher = normal(3, 3, seed=1), normal(3, 3)
        weighted = loss(student, teacher, torch.tensor([20.0, 10, 30]).double())
        rows = torch.tensor([0, 0, 1, 2, 2, 2])
        repeated = loss(student[rows], teacher[rows], torch.ones(6).double())
        assert weighted.item() == pytest.approx(repeated.item(), rel=1e-12)

    def test_a_batch_without_targets_is_zero_with_a_gradient_of_zero(
        self, loss: Callable[..., Tensor]
    ) -> None:
        student = normal(3, 3, seed=1).requires_grad_()
        value = loss(student, normal(3, 3), torch.zeros(3).double())
        value.backward()
        assert value.item() == 0.0
        assert student.grad is not None
        assert not student.grad.any()


def test_cross_entropy_against_a_certain_grade_is_its_negative_log_probability() -> None:
    logits = normal(4, 3)
    ours = grade_cross_entropy(logits, torch.eye(3).double()[[0, 2, 1, 1]], weights=torch.ones(4))
    reference = -log_softmax(logits.numpy(), axis=1)[np.arange(4), [0, 2, 1, 1]].mean()
    assert ours.item() == pytest.approx(reference, rel=1e-12)


def test_action_cross_entropy_weighted_by_one_over_propensity_by_hand() -> None:
    """Logit 0 costs ln 2; logit ln 3 is p = 3/4 and costs ln 4/3 for a click, ln 4 for none."""
    logits = torch.tensor([[0.0], [math.log(3)], [math.log(3)]], dtype=torch.float64)
    clicked = torch.tensor([[1.0], [1.0], [0.0]], dtype=torch.float64)
    weights = torch.tensor([[1.0], [4.0], [1.0]], dtype=torch.float64)
    by_hand = (math.log(2) + 4 * math.log(4 / 3) + math.log(4)) / 6
    assert action_cross_entropy(logits, clicked, weights=weights).item() == pytest.approx(by_hand)


def test_expected_grade_of_even_logits_is_the_middle_and_of_a_sure_one_that_grade() -> None:
    logits = torch.tensor([[0.0] * 5, [0, 0, 0, 60.0, 0]], dtype=torch.float64)
    assert expected_grade(logits).tolist() == pytest.approx([2.0, 3.0])


def test_masked_mean_by_hand() -> None:
    values, weights = torch.tensor([1.0, 5.0, 100.0]), torch.tensor([3.0, 1.0, 0.0])
    assert masked_mean(values, weights).item() == pytest.approx((3 * 1 + 1 * 5) / 4)


def test_margin_mse_by_hand() -> None:
    """Margins 2 against 1 and 0 against 0: the four ordered pairs give (1 + 1 + 0 + 0) / 4."""
    student, teacher = torch.tensor([3.0, 1.0, 5.0, 5.0]), torch.tensor([2.0, 1.0, 0.0, 0.0])
    queries = torch.tensor([0, 0, 1, 1])
    assert margin_mse(student, teacher, queries).item() == pytest.approx(0.5)
    assert margin_mse(teacher + 7, teacher, queries).item() == 0.0


def test_lambda_rank_by_hand() -> None:
    """Grades 2, 0 in the wrong order: |3 - 0| |1/log2(3) - 1| / 3 log(1 + e^(1 - 0))."""
    student, teacher = torch.tensor([0.0, 1.0]), torch.tensor([2.0, 0.0])
    found = lambda_rank(student, teacher, torch.tensor([4, 4]))
    expected = (1 - 1 / math.log2(3)) * math.log(1 + math.e)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_lambda_rank_weighs_a_pair_by_what_its_swap_costs_in_ndcg() -> None:
    """Against NDCG itself, each swap made and measured."""

    def ndcg(order: list[int], grades: Tensor) -> float:
        gains = (2**grades - 1).tolist()
        found = sum(gains[row] / math.log2(rank + 2) for rank, row in enumerate(order))
        best = sum(g / math.log2(r + 2) for r, g in enumerate(sorted(gains, reverse=True)))
        return found / best

    scores, grades = normal(6), torch.tensor([0, 3, 1, 2, 0, 1]).double()
    order = torch.argsort(scores, descending=True).tolist()
    expected = 0.0
    for i in range(6):
        for j in range(6):
            if grades[i] > grades[j]:
                swapped = [{i: j, j: i}.get(row, row) for row in order]
                cost = abs(ndcg(order, grades) - ndcg(swapped, grades))
                expected += cost * math.log1p(math.exp(float(scores[j] - scores[i])))
    found = lambda_rank(scores, grades, torch.zeros(6, dtype=torch.long))
    assert found.item() == pytest.approx(expected)


def test_lambda_rank_of_equal_grades_teaches_nothing() -> None:
    scores = normal(4).requires_grad_()
    loss = lambda_rank(scores, torch.ones(4).double(), torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == 0.0
    assert scores.grad is not None
    assert not scores.grad.any()
