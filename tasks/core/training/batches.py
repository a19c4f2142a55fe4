"""The order in which rows are trained on: a pure function of (seed, epoch), so resume is exact."""

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def epoch_batches(
    groups: Rows, *, rows_per_step: int, list_size: int, seed: int, epoch: int
) -> list[Rows]:
    """Row numbers of every step of one epoch; each row appears exactly once.

    Rows of a group (one query's candidates) stay together in lists of at most ``list_size``,
    because a listwise loss compares candidates of one query only.
    """
    generator = np.random.default_rng([seed, epoch])
    lists = _lists(groups, list_size, generator)
    batches: list[Rows] = []
    waiting: list[Rows] = []
    count = 0
    for index in generator.permutation(len(lists)):
        waiting.append(lists[index])
        count += len(lists[index])
        if count >= rows_per_step:
            batches.append(np.concatenate(waiting))
            waiting, count = [], 0
    if waiting:
        batches.append(np.concatenate(waiting))
    return batches


def _lists(groups: Rows, list_size: int, generator: np.random.Generator) -> list[Rows]:
    shuffled = generator.permutation(len(groups))
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    pieces: list[Rows] = []
    for group in np.split(order, starts[1:]):
        n_lists = -(-len(group) // list_size)
        pieces.extend(np.array_split(group, n_lists))
    return pieces
