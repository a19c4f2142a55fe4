"""Soft labels: each teacher's raw logits, a file per shard, so that no shard is scored twice.

They are stored before temperature and mixing, which therefore stay free to change. A shard's name
holds the digest of the scorer and of the shard's rows as the scorer reads them: a later transfer
set, with a new click log say, takes every shard over that it has in common with an earlier one.
Whole shards alone are taken over, since a row's logits change in the last bits with its company.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.inputs import PairText
from tasks.core.store.artifacts import MANIFEST
from tasks.core.store.faults import fault_point
from tasks.core.store.files import digest_of, file_sha256, rename_durably
from tasks.core.tables import read_table, write_table
from tasks.core.training.scorer import PairScorer
from tasks.core.training.scoring_pool import logits_of_parts

logger = logging.getLogger(__name__)
SHARD_ROWS = 2048
# A shard's digest, and its file in a finished artifact with the sha256 that the manifest gives.
Scored = dict[str, tuple[Path, str]]


def score_shards(
    load: Callable[[], PairScorer],
    pair_ids: Sequence[str],
    pairs: Sequence[PairText],
    *,
    scorer_digest: str,
    out: Path,
    scratch: Path,
    earlier: Path,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Score all pairs into ``out/shard-*.parquet``; finished shards survive in ``scratch``.

    ``load`` makes the scorer, if there is a shard to score, in each of the ``processes``.
    ``scorer_digest`` stands for the scorer's weights and for the code that scores. ``earlier`` is
    the folder of all artifacts of soft labels, whose shards are taken over, bit for bit what
    scoring would give.
    """
    scored, shards = _scored_shards(earlier), {}
    for number, start in enumerate(range(0, len(pairs), SHARD_ROWS)):
        rows = slice(start, start + SHARD_ROWS)
        shards[_name(number, scorer_digest, pair_ids[rows], pairs[rows])] = rows
    missing = [
        name
        for name in shards
        if not (scratch / name).exists()
        and not _take_over(scored.get(_digest_in(name)), scratch / name)
    ]
    logger.info("%d of %d shards are still to be scored.", len(missing), len(shards))
    done = len(pairs) - sum(len(pairs[shards[name]]) for name in missing)
    parts = [pairs[shards[name]] for name in missing]
    for name, logits in zip(
        missing, logits_of_parts(load, parts, processes=processes), strict=True
    ):
        written = scratch / f".{name}"
        ids = list(pair_ids[shards[name]])
        write_table(written, {"pair_id": ids, "logits": list(logits)})
        rename_durably(written, scratch / name)
        fault_point("soft_labels:shard")
        done += len(ids)
        if progress is not None:
            progress(done, len(pairs))
    for name in shards:
        shutil.copyfile(scratch / name, out / name)
    return len(shards)


def _name(number: int, scorer_digest: str, ids: Sequence[str], pairs: Sequence[PairText]) -> str:
    rows = [[pair_id, pair.left, pair.right] for pair_id, pair in zip(ids, pairs, strict=True)]
    return f"shard-{number:05d}-{digest_of([scorer_digest, rows])[:32]}.parquet"


def _digest_in(name: str) -> str:
    return name.rsplit("-", 1)[-1]


def _scored_shards(earlier: Path) -> Scored:
    """The shards of all finished artifacts."""
    found: Scored = {}
    for manifest in sorted(earlier.glob(f"*/{MANIFEST}")):
        for name, sha256 in _files(manifest):
            found[_digest_in(name)] = (manifest.parent / name, sha256)
    return found


def _files(manifest: Path) -> Iterator[tuple[str, str]]:
    try:
        yield from json.loads(manifest.read_text(encoding="utf-8"))["files"].items()
    except (OSError, ValueError, KeyError):
        return  # A damaged artifact has nothing to give.


def _take_over(scored: tuple[Path, str] | None, shard: Path) -> bool:
    """Copy an earlier shard; False where there is none, or not the bytes that were written."""
    if scored is None or not scored[0].exists():
        return False
    written = shard.with_name(f".{shard.name}")
    shutil.copyfile(scored[0], written)
    if file_sha256(written) != scored[1]:
        return False
    rename_durably(written, shard)
    return True


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
