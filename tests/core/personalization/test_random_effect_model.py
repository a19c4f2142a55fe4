"""Models on disk: mapped, looked up by entity, the same bytes; scores by hand."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.core.errors import CookbookError
from tasks.core.personalization.entities import find_entities
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.random_effects import fit_random_effect
from tests.core.personalization.simulated_clicks import simulate_clicks


def fitted(variances: str = "full") -> RandomEffectModel:
    log = simulate_clicks([20, 30, 25], seed=1)
    options = RandomEffectOptions(variances=variances)  # type: ignore[arg-type]
    return fit_random_effect(log.members, log.features, log.labels, options=options)


def test_scores_are_the_intercept_plus_the_products_of_the_own_entity() -> None:
    model = fitted()
    x = np.random.default_rng(0).normal(size=(4, 3))
    members = ["member_002", "member_000", "stranger", "member_002"]
    table = model.dense()
    expected = [
        model.intercepts[2] + x[0] @ table[2], model.intercepts[0] + x[1] @ table[0], 0.0,
        model.intercepts[2] + x[3] @ table[2],
    ]  # fmt: skip
    np.testing.assert_allclose(model.score(members, x), expected, atol=1e-12)
    single = model.score(members, x.astype(np.float32))
    np.testing.assert_allclose(single, expected, atol=1e-6)


@pytest.mark.parametrize("variances", ["none", "simple", "full"])
def test_a_saved_model_is_the_same_model(tmp_path: Path, variances: str) -> None:
    model = fitted(variances)
    model.save(tmp_path / "one.arrow")
    model.save(tmp_path / "two.arrow")
    assert (tmp_path / "one.arrow").read_bytes() == (tmp_path / "two.arrow").read_bytes()
    loaded = RandomEffectModel.load(tmp_path / "one.arrow")
    for member in ("member_000", "member_001", "member_002", "stranger"):
        assert loaded.coefficients(member) == model.coefficients(member)
    assert loaded.report.summary() == model.report.summary()
    x = np.random.default_rng(0).normal(size=(3, 3))
    members = ["member_000", "member_002", "stranger"]
    np.testing.assert_array_equal(loaded.score(members, x), model.score(members, x))


def test_a_loaded_model_lies_in_the_mapped_file_and_not_in_memory(tmp_path: Path) -> None:
    log = simulate_clicks([3] * 2000, seed=2)
    fit_random_effect(log.members, log.features, log.labels).save(tmp_path / "model.arrow")
    before = pa.total_allocated_bytes()
    loaded = RandomEffectModel.load(tmp_path / "model.arrow")
    assert pa.total_allocated_bytes() - before < loaded.values.nbytes / 10
    assert not loaded.values.flags.owndata
    assert not loaded.values.flags.writeable


def test_bisection_and_hash_lookup_find_the_same_places() -> None:
    known = pa.array(sorted(f"m{k}" for k in range(0, 2000, 2)))
    few = ["m0", "m998", "m1998", "m1", "", "zzz", "m10"]
    places = find_entities(few, known)
    many = find_entities(few * 10, known)
    np.testing.assert_array_equal(np.tile(places, 10), many)
    assert [None if p < 0 else known[int(p)].as_py() for p in places] == [
        "m0", "m998", "m1998", None, None, None, "m10",
    ]  # fmt: skip


def test_features_of_another_width_are_refused() -> None:
    with pytest.raises(CookbookError, match=r"shape \(1, 3\)"):
        fitted().score(["member_000"], np.ones((1, 2)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CookbookError, match="no such file"):
        RandomEffectModel.load(tmp_path / "none.arrow")
