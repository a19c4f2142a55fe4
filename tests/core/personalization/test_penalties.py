"""Elastic net, limits, normalization, sparsity and feature selection against outside references."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import scipy.optimize
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from tasks.core.errors import CookbookError
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.random_effects import fit_random_effect
from tests.core.personalization.simulated_clicks import ClickLog, simulate_clicks

Array = npt.NDArray[np.float64]


def one_member(features: int = 6, rows: int = 80, seed: int = 0) -> ClickLog:
    return simulate_clicks([rows], features=features, seed=seed)


def fit(log: ClickLog, **options: object) -> RandomEffectModel:
    return fit_random_effect(
        log.members, log.features, log.labels,
        options=RandomEffectOptions(**options),  # type: ignore[arg-type]
    )  # fmt: skip


def test_elastic_net_logistic_equals_scikit_learn_saga() -> None:
    log = one_member()
    model = fit(log, l1_weight=3.0, l2_weight=1.0)
    # C = 1 / (l1 + l2), l1_ratio = l1 / (l1 + l2); the intercept is free in both
    peer = LogisticRegression(
        C=0.25, l1_ratio=0.75, solver="saga", tol=1e-10, max_iter=100_000
    ).fit(log.features, log.labels)
    np.testing.assert_allclose(model.dense(), peer.coef_, atol=1e-5)
    assert (peer.coef_ == 0).any()
    assert ((model.dense() == 0) == (peer.coef_ == 0)).all()
    assert model.report.converged.all()
    assert model.report.gradient_norms[0] < 1e-6


def test_elastic_net_linear_equals_scikit_learn() -> None:
    log = one_member(seed=2)
    labels = log.features @ np.array([2.0, -1.0, 0.0, 0.0, 0.3, 0.0]) + 0.7
    log = ClickLog(log.members, log.features, labels, log.offsets, log.weights, log.tastes)
    model = fit(log, task="linear", l1_weight=8.0, l2_weight=4.0)
    # scikit-learn divides the squared error by 2 n: alpha = (l1 + l2) / n
    peer = ElasticNet(alpha=12 / 80, l1_ratio=8 / 12, tol=1e-14, max_iter=100_000)
    peer.fit(log.features, labels)
    np.testing.assert_allclose(model.dense()[0], peer.coef_, atol=1e-6)
    assert model.intercepts[0] == pytest.approx(peer.intercept_, abs=1e-6)


def test_a_large_l1_weight_leaves_the_intercept_alone() -> None:
    log = one_member(seed=3)
    model = fit(log, l1_weight=1e4)
    share = log.labels.mean()
    assert np.abs(model.dense()).max() == 0
    assert model.intercepts[0] == pytest.approx(np.log(share / (1 - share)), abs=1e-8)


def bounded_reference(log: ClickLog, lower: float, upper: float) -> Array:
    def objective(beta: Array) -> tuple[float, Array]:
        z = beta[0] + log.features @ beta[1:]
        error = 1 / (1 + np.exp(-z)) - log.labels
        value = (np.logaddexp(0, z) - log.labels * z).sum() + beta[1:] @ beta[1:] / 2
        return float(value), np.append(error.sum(), log.features.T @ error + beta[1:])

    size = log.features.shape[1]
    return np.asarray(
        scipy.optimize.minimize(
            objective, np.zeros(size + 1), jac=True, method="L-BFGS-B",
            bounds=[(None, None)] + [(lower, upper)] * size,
            options={"ftol": 1e-16, "gtol": 1e-10},
        ).x
    )  # fmt: skip


def test_coefficients_within_limits_equal_bounded_lbfgs() -> None:
    log = one_member(seed=4)
    model = fit(log, coefficient_limits=(0.0, 0.5))
    expected = bounded_reference(log, 0.0, 0.5)
    assert ((expected[1:] == 0) | (expected[1:] == 0.5)).any()
    np.testing.assert_allclose(np.append(model.intercepts, model.dense()), expected, atol=1e-6)


def test_a_limit_on_one_feature_binds_that_feature_only() -> None:
    log = one_member(seed=4)
    free = fit(log).dense()[0]
    strongest = int(np.abs(free).argmax())
    limit = (f"feature_{strongest}", -0.1, 0.1)
    bound = fit(log, feature_limits=(limit,)).dense()[0]
    assert abs(bound[strongest]) == pytest.approx(0.1)
    assert np.abs(np.delete(bound, strongest)).max() > 0.1
    with pytest.raises(CookbookError, match="'other', which is no feature"):
        fit(log, feature_limits=(("other", 0.0, 1.0),))


@pytest.mark.parametrize(
    ("normalization", "scale"),
    [
        ("standardize", lambda x: StandardScaler().fit(x)),
        ("by_deviation", lambda x: StandardScaler(with_mean=False).fit(x)),
        ("by_largest", lambda x: MaxAbsScaler().fit(x)),
    ],
)
def test_normalized_fits_equal_fits_on_scaled_features_mapped_back(
    normalization: str, scale: Callable[[Array], StandardScaler]
) -> None:
    log = one_member(seed=5)
    log.features[:] = log.features * [1, 10, 0.1, 5, 1, 2] + [0, 3, 1, 0, -2, 0]
    model = fit(log, normalization=normalization, variances="full", l2_weight=2.0)
    scaler = scale(log.features)
    scaled = scaler.transform(log.features)
    on_scaled = fit_random_effect(
        log.members, scaled, log.labels,
        options=RandomEffectOptions(variances="full", l2_weight=2.0),
    )  # fmt: skip
    np.testing.assert_allclose(model.dense(), on_scaled.dense() / scaler.scale_, atol=1e-8)
    np.testing.assert_allclose(
        model.score(log.members, log.features), on_scaled.score(log.members, scaled), atol=1e-8
    )
    assert model.variances is not None
    assert on_scaled.variances is not None
    np.testing.assert_allclose(model.variances, on_scaled.variances / scaler.scale_**2, rtol=1e-6)


def test_coefficients_at_or_below_the_threshold_are_not_stored() -> None:
    log = one_member(seed=6)
    full = fit(log).dense()[0]
    threshold = float(np.sort(np.abs(full))[2])
    sparse = fit(log, sparsity_threshold=threshold)
    np.testing.assert_array_equal(sparse.dense()[0], np.where(np.abs(full) > threshold, full, 0))
    assert len(sparse.values) == 3


def test_features_that_correlate_most_with_the_labels_are_kept() -> None:
    log = simulate_clicks([21, 40], features=8, seed=7)
    log.features[:, 5] = 3.0  # constant: correlates with nothing
    model = fit(log, feature_ratio=0.1)
    for number, (member, kept) in enumerate((("member_000", 3), ("member_001", 4))):
        own = np.array(log.members) == member
        with np.errstate(invalid="ignore", divide="ignore"):
            r = [abs(np.corrcoef(x, log.labels[own])[0, 1]) for x in log.features[own].T]
        expected = np.argsort(-np.nan_to_num(r))[:kept]
        assert set(np.flatnonzero(model.dense()[number])) == set(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l2_weight": -1.0}, "penalty weights of 0 or more"),
        ({"lower_bound": 5, "upper_bound": 4}, "not below the lower bound"),
        ({"negative_rate": 0.0}, "negative_rate above 0"),
        ({"negative_rate": 0.5, "task": "linear"}, "unless the task is logistic"),
        ({"normalization": "standardize", "intercept": "absent"}, "a free intercept"),
        ({"coefficient_limits": (1.0, 0.0)}, "lowest limits below"),
    ],
)
def test_options_that_no_fit_could_honor_are_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(CookbookError, match=message):
        RandomEffectOptions(**options)  # type: ignore[arg-type]


def test_neither_intercept_nor_features_is_refused() -> None:
    with pytest.raises(CookbookError, match="an intercept or features"):
        fit_random_effect(
            ["a"], np.empty((1, 0)), [1.0], options=RandomEffectOptions(intercept="absent")
        )
