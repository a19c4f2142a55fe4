"""Shards: even loads, one home per entity, resumed without fitting again, merged to one model."""

from pathlib import Path

import numpy as np
import pytest

from tasks.core.errors import CookbookError
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.random_effects import fit_random_effect
from tasks.core.personalization.sharding import (
    fit_shards,
    merge_shards,
    shard_entities,
    shard_path,
)
from tests.core.personalization.simulated_clicks import ClickLog, simulate_clicks


def test_skewed_entities_load_shards_evenly_where_a_hash_alone_would_not() -> None:
    rows = np.maximum(5000 / np.arange(1, 3001), 1).astype(np.int64)
    ids = [f"member_{k}" for k in range(3000)]
    assignment = shard_entities(ids, rows, 8)
    loads = np.bincount(assignment.shard_of(ids), rows, minlength=8)
    assert loads.max() / loads.mean() < 1.1
    by_hash = shard_entities(ids, np.ones(3000), 8)
    assert np.bincount(by_hash.shard_of(ids), rows, minlength=8).max() / loads.mean() > 1.3


def test_a_shard_depends_on_the_entity_alone_and_new_entities_have_one() -> None:
    ids = [f"member_{k}" for k in range(50)]
    assignment = shard_entities(ids, np.arange(1, 51), 4)
    straight = assignment.shard_of(ids)
    np.testing.assert_array_equal(assignment.shard_of(ids[::-1]), straight[::-1])
    assert 0 <= assignment.shard_of(["never seen"])[0] < 4


def sharded_fit(
    log: ClickLog, folder: Path, calls: list[int], broken: int | None = None, threads: int = 1
) -> list[RandomEffectModel]:
    ids, counts = np.unique(log.members, return_counts=True)
    owner = shard_entities(ids, counts, 3).shard_of(log.members)

    def fit(shard: int) -> RandomEffectModel:
        calls.append(shard)
        if shard == broken:
            raise KeyboardInterrupt
        own = owner == shard
        return fit_random_effect(
            np.array(log.members)[own], log.features[own], log.labels[own],
            offsets=log.offsets[own],
        )  # fmt: skip

    return fit_shards(fit, 3, folder, key="inputs", threads=threads)


def test_merged_shards_are_the_model_of_one_fit(tmp_path: Path) -> None:
    log = simulate_clicks([20, 30, 10, 25, 40, 15, 12], seed=1)
    merged = merge_shards(sharded_fit(log, tmp_path, [], threads=2))
    whole = fit_random_effect(log.members, log.features, log.labels, offsets=log.offsets)
    assert merged.entity_ids.equals(whole.entity_ids)
    np.testing.assert_allclose(merged.dense(), whole.dense(), atol=1e-12)
    np.testing.assert_allclose(merged.intercepts, whole.intercepts, atol=1e-12)
    merged_figures, figures = merged.report.summary(), whole.report.summary()
    assert merged_figures == pytest.approx(figures, rel=1e-9, abs=1e-9)


def test_an_interrupted_run_fits_only_the_shards_that_are_missing(tmp_path: Path) -> None:
    log = simulate_clicks([20, 30, 10, 25, 40, 15, 12], seed=2)
    first: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        sharded_fit(log, tmp_path, first, broken=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        shard_path(tmp_path, "inputs", shard, 3).name for shard in (0, 1)
    ]
    again: list[int] = []
    resumed = merge_shards(sharded_fit(log, tmp_path, again))
    assert again == [2]
    fresh = merge_shards(sharded_fit(log, tmp_path / "fresh", []))
    np.testing.assert_array_equal(resumed.dense(), fresh.dense())


def test_an_entity_in_two_shards_is_refused() -> None:
    log = simulate_clicks([20], seed=3)
    model = fit_random_effect(log.members, log.features, log.labels)
    with pytest.raises(CookbookError, match="each entity in one shard, 1 are in several"):
        merge_shards([model, model])
