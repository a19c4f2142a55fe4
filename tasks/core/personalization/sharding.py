"""Entities in shards of equal work, each fitted once, kept in its own file and never again."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.errors import CookbookError
from tasks.core.personalization.convergence import PER_ENTITY, ConvergenceReport
from tasks.core.personalization.entities import Ids, find_entities, hash_ids, to_strings
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.store.faults import fault_point
from tasks.core.store.files import rename_durably

HEAVY_AT_MOST = 100_000  # entities placed one by one; the others go where their hash says


@dataclass(frozen=True)
class ShardAssignment:
    """Which of `shards` shards an entity belongs to: a place for heavy ones, a hash for the rest.

    heavy_ids are sorted; heavy_shards (h,) their shards. An entity never seen has a shard too.
    """

    shards: int
    seed: int
    heavy_ids: pa.StringArray
    heavy_shards: npt.NDArray[np.int32]

    def shard_of(self, entity_ids: Ids) -> npt.NDArray[np.int32]:
        """The shard of each entity (n,)."""
        ids = to_strings(entity_ids)
        shards = (hash_ids(ids, self.seed) % np.uint64(self.shards)).astype(np.int32)
        if len(self.heavy_ids):
            heavy = find_entities(ids, self.heavy_ids)
            shards = np.where(heavy >= 0, self.heavy_shards[heavy], shards)
        return shards


def shard_entities(
    entity_ids: Ids, rows: npt.ArrayLike, shards: int, *, seed: int = 0
) -> ShardAssignment:
    """Assign distinct entities with their numbers of rows (E,) to shards of even work.

    Entities above a thousandth of a shard's fair share are placed largest first on the least
    loaded shard; the hash spreads the others. Raises CookbookError on fewer than one shard.
    Source: Graham's longest-processing-time rule (1969), at most 4/3 of the best largest load.
    """
    if shards < 1:
        raise CookbookError(f"Expected 1 shard or more, got {shards}.")
    ids, counts = to_strings(entity_ids), np.asarray(rows, np.int64)
    heavy = counts > counts.sum() / shards / 1000
    heavy &= counts >= np.sort(counts)[-min(HEAVY_AT_MOST, len(counts))] if len(counts) else heavy
    loads = np.bincount(
        (hash_ids(ids, seed) % np.uint64(shards)).astype(np.int64)[~heavy],
        weights=counts[~heavy],
        minlength=shards,
    )
    order = np.lexsort((hash_ids(ids, seed), -counts))
    placed = np.zeros(len(counts), np.int32)
    for entity in order[heavy[order]]:
        placed[entity] = loads.argmin()
        loads[placed[entity]] += counts[entity]
    chosen = ids.filter(heavy)
    ascending = pc.sort_indices(chosen)
    return ShardAssignment(
        shards, seed, chosen.take(ascending), placed[heavy][ascending.to_numpy()]
    )


def shard_path(folder: Path, key: str, shard: int, shards: int) -> Path:
    """Where a shard's model lies; `key` names the inputs, so other inputs have other files."""
    return folder / f"{key}-{shard:05d}-of-{shards:05d}.arrow"


def fit_shard(path: Path, fit: Callable[[], RandomEffectModel]) -> RandomEffectModel:
    """The shard's model: read if its file is there, else fitted, written beside and renamed.

    A shard that was killed halfway leaves no file of that name and is fitted again.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        fit().save(unfinished)
        rename_durably(unfinished, path)
        fault_point("effects:shard")
    return RandomEffectModel.load(path)


def fit_shards(
    fit: Callable[[int], RandomEffectModel],
    shards: int,
    folder: Path,
    *,
    key: str,
    threads: int = 1,
) -> list[RandomEffectModel]:
    """Fit all shards on threads, those that have a file already excepted; models by shard.

    `fit` loads and fits one shard by its number. The kernels release the interpreter lock.
    """

    def one(shard: int) -> RandomEffectModel:
        return fit_shard(shard_path(folder, key, shard, shards), lambda: fit(shard))

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(shards)))


def merge_shards(models: Sequence[RandomEffectModel]) -> RandomEffectModel:
    """One model of all shards' entities, which must be distinct.

    Raises CookbookError if two shards have the same entity or other features.
    """
    if len({model.feature_names for model in models}) != 1:
        raise CookbookError("Expected shards with the same features; fit them all alike.")
    together = pa.concat_arrays([model.entity_ids for model in models])
    if len(together.unique()) != len(together):
        raise CookbookError(
            f"Expected each entity in one shard, {len(together) - len(together.unique())} are in "
            "several; split rows by entity."
        )
    order = pc.sort_indices(together).to_numpy().astype(np.int64)
    sizes = np.concatenate([np.diff(model.starts) for model in models])
    begins = np.cumsum(sizes) - sizes
    starts = np.zeros(len(order) + 1, np.int64)
    np.cumsum(sizes[order], out=starts[1:])
    places = np.arange(starts[-1]) + np.repeat(begins[order] - starts[:-1], sizes[order])
    spread = all(model.variances is not None for model in models)
    return RandomEffectModel(
        feature_names=models[0].feature_names,
        task=models[0].task,
        entity_ids=together.take(pa.array(order)),
        intercepts=_joined(models, "intercepts")[order],
        starts=starts,
        columns=_joined(models, "columns")[places],
        values=_joined(models, "values")[places],
        report=_merged_report([model.report for model in models], order),
        intercept_variances=_joined(models, "intercept_variances")[order] if spread else None,
        variances=_joined(models, "variances")[places] if spread else None,
    )


def _joined(parts: Sequence[object], name: str) -> npt.NDArray[np.generic]:
    return np.concatenate([getattr(part, name) for part in parts])


def _merged_report(
    reports: Sequence[ConvergenceReport], order: npt.NDArray[np.int64]
) -> ConvergenceReport:
    counts = (
        "trained", "passive", "carried", "active_rows", "passive_rows", "float64_fallbacks",
        "penalty",
    )  # fmt: skip
    sums: dict[str, Any] = {
        name: sum(getattr(report, name) for report in reports) for name in counts
    }
    arrays: dict[str, Any] = {name: _joined(reports, name)[order] for name in PER_ENTITY}
    return ConvergenceReport(**sums, **arrays)
