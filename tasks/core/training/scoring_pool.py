"""Several processes of this machine score at once: a GPU each, or a share of the cores."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tasks.core.errors import CookbookError
from tasks.core.inputs import PairText
from tasks.core.training.processes import begin, check_gpus, none_outlives
from tasks.core.training.scorer import PairScorer

Logits = npt.NDArray[np.float32]
Parts = Sequence[Sequence[PairText]]


def logits_of_parts(
    load: Callable[[], PairScorer], parts: Parts, *, processes: int
) -> Iterator[Logits]:
    """Raw logits of each part, (pairs, outputs), in the order of the parts.

    A part goes through one model whole, so that its logits are the same to the bit whichever
    process scores it, where processors are alike.

    Args:
        load: makes the scorer, in each process; sent there, so it has to be importable.

    Raises:
        CookbookError: there are fewer GPUs than processes, or a process was killed.
    """
    processes = min(processes, len(parts))
    if processes < 2:
        if parts:
            yield from map(load().logits, parts)
        return
    check_gpus(processes)
    torch.cuda.empty_cache()  # the first process needs this card whole
    spawn = get_context("spawn")
    ranks = spawn.SimpleQueue()
    for rank in range(processes):
        ranks.put(rank)
    threads = max(1, torch.get_num_threads() // processes)
    pool = ProcessPoolExecutor(
        processes, mp_context=spawn, initializer=_begin, initargs=(load, ranks, threads)
    )
    try:
        with none_outlives():
            waiting = deque(pool.submit(_logits, part) for part in parts)
            while waiting:
                yield waiting.popleft().result()
            pool.shutdown()
    except BrokenProcessPool as error:
        raise CookbookError(
            f"Of {processes} scoring processes one was killed, as the system does where memory is "
            "short. Run again: what was scored is kept."
        ) from error
    finally:
        pool.shutdown(wait=False)


@dataclass
class _Own:
    """What a process scores with, loaded for its first part: an error travels from there."""

    load: Callable[[], PairScorer] | None = None
    scorer: PairScorer | None = None


_own = _Own()


def _begin(load: Callable[[], PairScorer], ranks: Any, threads: int) -> None:
    begin(ranks.get(), threads)
    _own.load = load


def _logits(part: Sequence[PairText]) -> Logits:
    if _own.scorer is None:
        assert _own.load is not None
        _own.scorer = _own.load()
    return _own.scorer.logits(part)
