"""Shards within a coordinate descent: the same effects, and a killed run goes on where it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from tasks.core.errors import CookbookError
from tasks.core.personalization import sharded_fit
from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.game_model import GameModel, RandomEffect
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effects import fit_random_effect
from tasks.core.personalization.rows import Rows
from tasks.core.personalization.sharded_fit import ShardedFit, fit_in_shards
from tests.core.personalization.simulated_clicks import simulate_clicks

SHARDS = 4
OPTIONS = RandomEffectOptions(
    intercept="penalized", variances="full", lower_bound=3, upper_bound=25, negative_rate=0.9
)
GAME = (
    RandomEffect("per_member", "member", "x", OPTIONS),
    RandomEffect("per_job", "job", None, OPTIONS),
)


def rows_of(seed: int, members: slice = slice(None)) -> Rows:
    log = simulate_clicks([2, 40, 20, 25, 30, 60, 12, 18, 22, 1][members], seed=seed)
    jobs = np.random.default_rng(seed).integers(0, 7, len(log.members)).astype(str)
    ids = [f"row_{seed}_{i}" for i in range(len(log.members))]
    sets = {"x": log.features}
    return Rows(ids, log.labels, sets, {"member": log.members, "job": jobs}, weights=log.weights)


def assert_same(found: GameModel, expected: GameModel) -> None:
    for name, model in expected.models.items():
        other = found.models[name]
        assert other.entity_ids.equals(model.entity_ids)
        for part in ("intercepts", "starts", "columns", "values", "variances"):
            np.testing.assert_array_equal(getattr(other, part), getattr(model, part))
        assert other.report.summary() == pytest.approx(model.report.summary(), rel=1e-12)


def test_shards_change_no_bit_of_a_descent_with_bounds_and_sampling(tmp_path: Path) -> None:
    rows = rows_of(1)
    whole = coordinate_descent(rows, GAME, passes=3, validation=rows)
    shards = fit_in_shards(SHARDS, tmp_path, threads=2)
    assert_same(coordinate_descent(rows, GAME, passes=3, validation=rows, fit=shards), whole)


def test_shards_of_an_incremental_refresh_carry_each_vanished_entity_once(tmp_path: Path) -> None:
    earlier = coordinate_descent(rows_of(1), GAME)
    fewer = rows_of(2, slice(2, 6))

    def refreshed(**how: Any) -> GameModel:
        return coordinate_descent(fewer, GAME, warm_start=earlier, incremental=True, **how)

    assert refreshed().models["per_member"].report.carried > 0
    assert_same(refreshed(fit=ShardedFit(SHARDS, tmp_path)), refreshed())


def test_sparse_features_are_split_by_entity_too(tmp_path: Path) -> None:
    dense = rows_of(3)
    thin = {"x": sparse.csr_array(dense.features["x"] * (dense.features["x"] > 0))}
    rows = Rows(dense.row_ids, dense.labels, thin, dense.entity_ids)
    shards = ShardedFit(SHARDS, tmp_path)
    assert_same(coordinate_descent(rows, GAME, fit=shards), coordinate_descent(rows, GAME))


def test_a_run_killed_within_a_pass_fits_again_only_the_shards_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two coordinates, two passes, four shards each: 16 fits; the power goes in the twelfth."""
    rows, calls, dies_at = rows_of(4), 0, 12

    def counted(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == dies_at:
            raise KeyboardInterrupt
        return fit_random_effect(*given, **named)

    monkeypatch.setattr(sharded_fit, "fit_random_effect", counted)
    with pytest.raises(KeyboardInterrupt):
        coordinate_descent(rows, GAME, passes=2, fit=ShardedFit(SHARDS, tmp_path))
    calls, dies_at = 0, -1
    resumed = coordinate_descent(rows, GAME, passes=2, fit=ShardedFit(SHARDS, tmp_path))
    assert calls == 16 - 11
    calls = 0
    assert_same(resumed, coordinate_descent(rows, GAME, passes=2))


@pytest.mark.parametrize("changed", ["labels", "weights", "options", "features"])
def test_other_inputs_never_find_the_files_of_these(tmp_path: Path, changed: str) -> None:
    rows, game = rows_of(5), GAME[:1]
    coordinate_descent(rows, game, fit=ShardedFit(SHARDS, tmp_path))
    parts: dict[str, Any] = {
        "labels": np.asarray(rows.labels).copy(),
        "weights": np.asarray(rows.weights).copy(),
        "features": rows.features["x"].copy(),
    }
    if changed == "options":
        game = (RandomEffect("per_member", "member", "x", RandomEffectOptions(l2_weight=2.0)),)
    else:
        parts[changed][5] = np.abs(1 - parts[changed][5])
    sets = {"x": parts["features"]}
    other = Rows(rows.row_ids, parts["labels"], sets, rows.entity_ids, weights=parts["weights"])
    found = coordinate_descent(other, game, fit=ShardedFit(SHARDS, tmp_path))
    assert_same(found, coordinate_descent(other, game))


def test_a_normalization_that_looks_at_all_rows_is_refused(tmp_path: Path) -> None:
    options = RandomEffectOptions(normalization="by_deviation")
    game = (RandomEffect("per_member", "member", "x", options),)
    with pytest.raises(CookbookError, match="'by_deviation' looks at all"):
        coordinate_descent(rows_of(6), game, fit=ShardedFit(SHARDS, tmp_path))


def test_one_shard_is_the_plain_fit_and_writes_nothing(tmp_path: Path) -> None:
    assert fit_in_shards(1, tmp_path) is fit_random_effect
