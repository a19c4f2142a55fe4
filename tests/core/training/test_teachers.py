"""Teachers: rare actions count beside a positive one only; nothing that ran before matters."""

import numpy as np
import pytest
import torch

from tasks.core.training.base_models import Source
from tasks.core.training.loop import Optimization
from tasks.core.training.teachers import (
    Lora,
    click_weights,
    rare_action_weights,
    train_click_teacher,
    train_policy_teacher,
)
from tests.core.training.tiny import FAMILIES, lively_scorer, pairs_of, tiny_scorer

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
OPTIMIZATION = Optimization(
    epochs=1, learning_rate=1e-2, head_learning_rate=1e-2, rows_per_step=6, list_size=3
)
LISTS = np.arange(12) // 3


def test_rare_actions_count_only_beside_a_positive_one() -> None:
    """Lists 0 and 2 have an application, list 1 has none; every row counts for the click."""
    actions = np.array([[1, 1], [0, 0], [1, 0], [0, 0], [0, 0], [1, 1]], dtype=float)
    lists = np.array([0, 0, 1, 1, 2, 2])
    expected = [[1, 1], [1, 1], [1, 0], [1, 0], [1, 1], [1, 1]]
    assert rare_action_weights(actions, lists).tolist() == expected


@pytest.mark.parametrize("source", FAMILIES)
def test_a_teacher_does_not_depend_on_what_ran_before_in_the_process(source: Source) -> None:
    """Adapters start random: unseeded, a resumed run would end with another teacher."""

    def logits(noise: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        scorer, pairs = tiny_scorer(source, actions=("clicked",)), pairs_of(12)
        torch.manual_seed(noise)
        train_click_teacher(
            scorer,
            pairs,
            (np.arange(12) % 3 == 0).astype(float)[:, None],
            np.ones((12, 1)),
            LISTS,
            OPTIMIZATION,
            lora=Lora(2, 4),
        )
        return scorer.logits(pairs)

    np.testing.assert_array_equal(logits(1), logits(2))


def test_the_click_teacher_ignores_rows_of_weight_zero() -> None:
    """They carry wrong clicks here: the same weights must come of them, whatever they say."""

    def logits(wrong: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        scorer, pairs = tiny_scorer("random_decoder", actions=("clicked",)), pairs_of(12)
        clicks, weights = (np.arange(12) % 3 == 0).astype(float)[:, None], np.ones((12, 1))
        clicks[4:6], weights[4:6] = wrong, 0.0
        train_click_teacher(scorer, pairs, clicks, weights, LISTS, OPTIMIZATION, lora=None)
        return scorer.logits(pairs)

    np.testing.assert_array_equal(logits(0.0), logits(1.0))


def test_retrieval_teaches_the_policy_teacher_an_order_where_grades_are_even() -> None:
    """Even grades alone teach no order: with the listwise goal scores follow retrieval."""
    pairs = [pair for pair in pairs_of(1) for _ in range(12)]
    pairs = [type(pair)(pair.left, "pilot" if i % 3 else "nurse") for i, pair in enumerate(pairs)]
    order = np.where(np.arange(12) % 3, 0.1, 0.6)
    even = np.full((12, 3), 1 / 3)
    gaps = {}
    for weight in (0.0, 1.0):
        scorer = lively_scorer("random_encoder")
        optimization = Optimization(
            epochs=15, learning_rate=5e-3, head_learning_rate=5e-2, rows_per_step=6, list_size=3
        )
        train_policy_teacher(
            scorer, pairs, even, LISTS, order, optimization, lora=None, listwise_weight=weight
        )
        logits = scorer.logits(pairs)
        expected = torch.softmax(torch.from_numpy(logits), 1).numpy() @ np.arange(3)
        gaps[weight] = expected[0] - expected[1]
    assert gaps[1.0] > 0.3
    assert abs(gaps[0.0]) < 0.1


def test_only_taken_rows_weigh_by_their_place():
    """Unclicked rows weighed by 1 / propensity made the click teacher worse than chance."""
    actions = np.array([[1.0], [0.0], [0.0]])
    weights = click_weights(actions, np.array([0, 0, 0]), np.array([3.0, 3.0, 1.0]))
    assert weights.tolist() == [[3.0], [1.0], [1.0]]


def test_a_row_of_more_weight_decides_where_two_contradict() -> None:
    """The same pair with grade 0 and grade 2: the share of each grade is that of the weights."""
    pairs = pairs_of(1) * 8
    grades = np.eye(3)[np.arange(len(pairs)) % 2 * 2]
    scorer = lively_scorer("random_encoder")
    optimization = Optimization(
        epochs=40, learning_rate=1e-2, head_learning_rate=1e-1, rows_per_step=len(pairs)
    )
    train_policy_teacher(
        scorer,
        pairs,
        grades,
        np.zeros(len(pairs), dtype=np.int64),
        np.zeros(len(pairs)),
        optimization,
        lora=None,
        weights=np.where(np.arange(len(pairs)) % 2, 3.0, 1.0),
    )
    learned = torch.softmax(torch.from_numpy(scorer.logits(pairs[:1])), 1)[0].numpy()
    np.testing.assert_allclose(learned, [0.25, 0.0, 0.75], atol=0.03)
