"""Warm start, Gaussian prior, and what of an earlier model is kept."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.optimize

from tasks.core.errors import CookbookError
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.random_effects import fit_random_effect
from tests.core.personalization.simulated_clicks import ClickLog, simulate_clicks

Array = npt.NDArray[np.float64]
FULL = RandomEffectOptions(variances="full")


def fit(log: ClickLog, names: list[str], **more: object) -> RandomEffectModel:
    return fit_random_effect(
        log.members, log.features, log.labels, feature_names=names, **more  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_warm_start_changes_the_iterations_and_not_the_optimum() -> None:
    log = simulate_clicks([30, 40], seed=1)
    cold = fit(log, ["a", "b", "c"])
    warm = fit(log, ["a", "b", "c"], warm_start=cold)
    np.testing.assert_allclose(warm.dense(), cold.dense(), atol=1e-9)
    assert warm.report.iterations.max() == 1 < cold.report.iterations.min()


def test_features_are_matched_by_name_when_columns_moved() -> None:
    log = simulate_clicks([30, 40], seed=1)
    cold = fit(log, ["a", "b", "c"])
    moved = ClickLog(log.members, np.ascontiguousarray(log.features[:, [2, 0, 1]]), log.labels,
                     log.offsets, log.weights, log.tastes)  # fmt: skip
    warm = fit(moved, ["c", "a", "b"], warm_start=cold)
    assert warm.report.iterations.max() == 1


def test_new_features_start_at_zero_and_new_entities_without_a_model() -> None:
    log = simulate_clicks([30, 40, 20], seed=2)
    old_rows = np.array(log.members) != "member_002"
    earlier = fit_random_effect(
        np.array(log.members)[old_rows], log.features[old_rows, :2], log.labels[old_rows],
        feature_names=["a", "b"],
    )  # fmt: skip
    warm = fit(log, ["a", "b", "c"], warm_start=earlier)
    np.testing.assert_allclose(warm.dense(), fit(log, ["a", "b", "c"]).dense(), atol=1e-9)


@pytest.mark.parametrize("kept", [True, False])
def test_vanished_entities_are_kept_or_dropped_as_asked(kept: bool) -> None:
    log = simulate_clicks([30, 40], seed=3)
    earlier = fit(log, ["a", "b", "c"])
    first = np.array(log.members) == "member_000"
    options = RandomEffectOptions(keep_vanished_entities=kept)
    model = fit_random_effect(
        np.array(log.members)[first], log.features[first], log.labels[first],
        feature_names=["a", "b", "c"], warm_start=earlier, options=options,
    )  # fmt: skip
    assert model.entity_ids.to_pylist() == ["member_000", "member_001"][: 1 + kept]
    assert model.report.carried == int(kept)
    if kept:
        assert model.coefficients("member_001") == earlier.coefficients("member_001")


@pytest.mark.parametrize("kept", [True, False])
def test_vanished_features_of_a_retrained_entity_are_kept_or_dropped_as_asked(kept: bool) -> None:
    """Quirk: GDMix loses them although its comment says otherwise."""
    log = simulate_clicks([30], seed=4)
    earlier = fit(log, ["a", "b", "c"], options=FULL)
    options = RandomEffectOptions(keep_vanished_features=kept, variances="full")
    model = fit_random_effect(
        log.members, log.features[:, :2], log.labels,
        feature_names=["a", "b"], warm_start=earlier, options=options,
    )  # fmt: skip
    now, before = model.coefficients("member_000"), earlier.coefficients("member_000")
    assert now is not None
    assert before is not None
    assert model.feature_names == (("a", "b", "c") if kept else ("a", "b"))
    assert now.values.get("c") == (before.values["c"] if kept else None)
    assert now.variances is not None
    assert before.variances is not None
    assert now.variances.get("c") == (before.variances["c"] if kept else None)
    # rows without the column score by the rest
    scores = model.score(log.members, log.features[:, :2], ["a", "b"])
    own = now.intercept + log.features[:, :2] @ [now.values["a"], now.values["b"]]
    np.testing.assert_allclose(scores, own, atol=1e-12)


def test_entities_below_the_lower_bound_keep_their_earlier_model() -> None:
    log = simulate_clicks([30, 40], seed=5)
    earlier = fit(log, ["a", "b", "c"])
    few = np.r_[0:3, 30:70]
    options = RandomEffectOptions(lower_bound=10, keep_vanished_entities=False)
    model = fit_random_effect(
        np.array(log.members)[few], log.features[few], log.labels[few],
        feature_names=["a", "b", "c"], warm_start=earlier, options=options,
    )  # fmt: skip
    assert model.coefficients("member_000") == earlier.coefficients("member_000")
    assert (model.report.trained, model.report.passive, model.report.carried) == (1, 1, 1)


def test_the_prior_centers_on_old_means_with_old_variances() -> None:
    old, new = simulate_clicks([60], seed=6), simulate_clicks([40], seed=7)
    earlier = fit(old, ["a", "b", "c"], options=FULL)
    strength = 0.7
    options = RandomEffectOptions(variances="full", prior_weight=strength)
    model = fit(new, ["a", "b", "c"], prior=earlier, options=options)
    mean = np.append(earlier.intercepts, earlier.dense())
    assert earlier.variances is not None
    assert earlier.intercept_variances is not None
    spread = np.append(earlier.intercept_variances, earlier.variances)

    def objective(beta: Array) -> float:
        z = beta[0] + new.features @ beta[1:]
        loss = (np.logaddexp(0, z) - new.labels * z).sum()
        return float(loss + strength / 2 * ((beta - mean) ** 2 / spread).sum())

    best = scipy.optimize.minimize(objective, mean, method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(np.append(model.intercepts, model.dense()), best.x, atol=1e-6)


def test_a_prior_variance_of_zero_is_replaced_by_lambda() -> None:
    """Photon's rule for features that the earlier rows never showed."""
    log = simulate_clicks([50], seed=8)
    earlier = fit_random_effect(
        log.members, log.features[:, :2], log.labels, feature_names=["a", "b"], options=FULL
    )
    model = fit(log, ["a", "b", "c"], prior=earlier, options=FULL)
    loose = fit(log, ["a", "b", "c"], prior=earlier,
                options=RandomEffectOptions(variances="full", l2_weight=1e-9))  # fmt: skip
    tight = fit(log, ["a", "b", "c"], prior=earlier,
                options=RandomEffectOptions(variances="full", l2_weight=1e9))  # fmt: skip
    assert abs(tight.dense()[0, 2]) < 1e-6 < abs(model.dense()[0, 2]) < abs(loose.dense()[0, 2])


def test_new_rows_on_a_linear_prior_give_the_fit_on_all_rows() -> None:
    """For the linear task the Gaussian prior is exact where features are orthogonal."""
    x = np.repeat(np.eye(3), 20, axis=0)
    rng = np.random.default_rng(9)
    labels = x @ [1.0, -2.0, 0.5] + rng.normal(size=60)
    options = RandomEffectOptions(task="linear", intercept="absent", variances="full")
    old, new = np.arange(60) % 2 == 0, np.arange(60) % 2 == 1
    first = fit_random_effect(["a"] * 30, x[old], labels[old], options=options)
    second = fit_random_effect(["a"] * 30, x[new], labels[new], options=options, prior=first)
    together = fit_random_effect(["a"] * 60, x, labels, options=options)
    np.testing.assert_allclose(second.dense(), together.dense(), atol=1e-9)
    np.testing.assert_allclose(second.variances, together.variances, atol=1e-9)


def test_a_prior_without_variances_is_refused() -> None:
    log = simulate_clicks([20], seed=10)
    with pytest.raises(CookbookError, match="needs the earlier model's variances"):
        fit(log, ["a", "b", "c"], prior=fit(log, ["a", "b", "c"]))
