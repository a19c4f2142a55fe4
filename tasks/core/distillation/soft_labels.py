"""Soft labels: each teacher's raw logits, a file per shard, so that no pair is scored twice.

They are stored before temperature and mixing, which therefore stay free to change.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.inputs import PairText
from tasks.core.store.faults import fault_point
from tasks.core.store.files import rename_durably
from tasks.core.tables import read_table, write_table
from tasks.core.training.scorer import PairScorer

SHARD_ROWS = 2048


def score_shards(
    scorer: PairScorer,
    pair_ids: Sequence[str],
    pairs: Sequence[PairText],
    *,
    out: Path,
    scratch: Path,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Score all pairs into ``out/shard-*.parquet``; finished shards survive in ``scratch``."""
    starts = range(0, len(pairs), SHARD_ROWS)
    for number, start in enumerate(starts):
        name = f"shard-{number:05d}.parquet"
        if not (scratch / name).exists():
            rows = slice(start, start + SHARD_ROWS)
            logits = scorer.logits(pairs[rows])
            columns = {"pair_id": list(pair_ids[rows]), "logits": list(logits)}
            write_table(scratch / f".{name}", columns)
            rename_durably(scratch / f".{name}", scratch / name)
            fault_point("soft_labels:shard")
        if progress is not None:
            progress(min(len(pairs), start + SHARD_ROWS), len(pairs))
    for path in sorted(scratch.glob("shard-*.parquet")):
        shutil.copyfile(path, out / path.name)
    return len(starts)


def read_soft_labels(folder: Path, pair_ids: Sequence[str]) -> npt.NDArray[np.float32]:
    """Logits in the order of the pair ids, shape (pairs, outputs); NaN where there are none."""
    known: dict[str, npt.NDArray[np.float32]] = {}
    for path in sorted(folder.glob("shard-*.parquet")):
        table = read_table(path)
        logits = np.array(table["logits"].to_pylist(), dtype=np.float32)
        known.update(zip(table["pair_id"].to_pylist(), logits, strict=True))
    width = len(next(iter(known.values())))
    missing = np.full(width, np.nan, dtype=np.float32)
    return np.array([known.get(pair, missing) for pair in pair_ids], dtype=np.float32)
