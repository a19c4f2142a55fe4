"""Batches: every row once an epoch, lists whole, the order a function of (seed, epoch) alone."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.training.batches import epoch_batches

GROUPS = np.array([7] * 5 + [0] * 1 + [3] * 12 + [9] * 4 + [1] * 8)


def batches(seed: int = 0, epoch: int = 0, **changes: int) -> list[npt.NDArray[np.int64]]:
    sizes = {"rows_per_step": 6, "list_size": 4} | changes
    return epoch_batches(GROUPS, seed=seed, epoch=epoch, **sizes)


@given(
    groups=st.lists(st.integers(0, 5), min_size=1, max_size=40),
    rows_per_step=st.integers(1, 50),
    list_size=st.integers(1, 10),
    epoch=st.integers(0, 3),
)
@settings(max_examples=60)
def test_every_row_is_seen_exactly_once_an_epoch(
    groups: list[int], rows_per_step: int, list_size: int, epoch: int
) -> None:
    found = epoch_batches(
        np.array(groups), rows_per_step=rows_per_step, list_size=list_size, seed=1, epoch=epoch
    )
    assert sorted(np.concatenate(found).tolist()) == list(range(len(groups)))
    assert all(len(batch) >= rows_per_step for batch in found[:-1])
    assert all(len(batch) < rows_per_step + list_size for batch in found)


def test_a_query_no_longer_than_a_list_is_never_torn_apart() -> None:
    """A listwise loss would otherwise compare a query's candidates with nothing."""
    for epoch in range(20):
        places = {row: number for number, b in enumerate(batches(epoch=epoch)) for row in b}
        for group in (0, 9):
            assert len({places[row] for row in np.flatnonzero(group == GROUPS)}) == 1


def test_a_long_query_is_cut_into_even_lists() -> None:
    """Twelve candidates in lists of at most 5: three of 4, not 5, 5 and a rest of 2."""
    groups = np.full(12, 3)
    found = epoch_batches(groups, rows_per_step=1, list_size=5, seed=0, epoch=0)
    assert [len(batch) for batch in found] == [4, 4, 4]


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    np.random.default_rng(0)
    first = batches(seed=3, epoch=2)
    batches(seed=5, epoch=1)
    again = batches(seed=3, epoch=2)
    assert len(first) == len(again)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}])
def test_another_seed_or_epoch_is_another_order(change: dict[str, int]) -> None:
    plain = np.concatenate(batches(rows_per_step=1))
    assert not np.array_equal(plain, np.concatenate(batches(rows_per_step=1, **change)))


def test_lists_of_a_long_query_differ_between_epochs() -> None:
    """Fixed lists would never let two candidates of one query be compared."""
    groups = np.full(12, 3)
    lists = [
        {
            frozenset(b.tolist())
            for b in epoch_batches(groups, rows_per_step=1, list_size=4, seed=0, epoch=epoch)
        }
        for epoch in range(2)
    ]
    assert lists[0] != lists[1]
