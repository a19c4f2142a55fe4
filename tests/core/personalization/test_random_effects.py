"""Per-entity fits against independent references and the laws of penalized regression."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.optimize
import scipy.sparse as sp
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from tasks.core.errors import CookbookError
from tasks.core.personalization.options import Intercept, RandomEffectOptions, Task
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.random_effects import fit_random_effect
from tests.core.personalization.simulated_clicks import ClickLog, simulate_clicks

Array = npt.NDArray[np.float64]


def fit(log: ClickLog, options: RandomEffectOptions, **more: object) -> RandomEffectModel:
    return fit_random_effect(
        log.members, log.features, log.labels,
        offsets=log.offsets, weights=log.weights, options=options, **more,
    )  # fmt: skip


def table(model: RandomEffectModel) -> Array:
    """Coefficients by entity, the intercept first."""
    return np.column_stack([model.intercepts, model.dense()])


def one_member_labels(task: Task, rng: np.random.Generator, logits: Array) -> Array:
    if task == "linear":
        return logits + rng.normal(size=len(logits))
    if task == "poisson":
        return rng.poisson(np.exp(0.3 * logits)).astype(np.float64)
    return (rng.random(len(logits)) < 1 / (1 + np.exp(-logits))).astype(np.float64)


@pytest.mark.parametrize("task", ["logistic", "linear", "poisson"])
def test_without_penalty_coefficients_and_variances_are_those_of_statsmodels(task: Task) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 3))
    offsets, weights = rng.normal(0, 0.3, 80), rng.integers(1, 4, 80).astype(np.float64)
    labels = one_member_labels(task, rng, offsets + x @ [1.0, -0.5, 0.2] + 0.3)
    families = {"logistic": sm.families.Binomial(), "linear": sm.families.Gaussian(),
                "poisson": sm.families.Poisson()}  # fmt: skip
    design = sm.add_constant(x)
    reference = sm.GLM(
        labels, design, family=families[task], offset=offsets, freq_weights=weights
    ).fit(tol=1e-14, maxiter=200, scale=1.0)
    hessian = -reference.model.hessian(reference.params, scale=1.0)
    found = {
        kind: fit_random_effect(
            ["alice"] * 80, x, labels, offsets=offsets, weights=weights,
            options=RandomEffectOptions(task=task, l2_weight=0, variances=kind),
        )
        for kind in ("full", "simple")
    }  # fmt: skip
    expected = {"full": np.diag(np.linalg.inv(hessian)), "simple": 1 / np.diag(hessian)}
    for kind, model in found.items():
        assert model.variances is not None
        assert model.intercept_variances is not None
        np.testing.assert_allclose(table(model)[0], reference.params, atol=1e-6, rtol=0)
        spread = np.append(model.intercept_variances, model.variances)
        np.testing.assert_allclose(spread, expected[kind], atol=1e-6, rtol=0)
    np.testing.assert_allclose(expected["full"], reference.bse**2, atol=1e-6)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cholesky"])
def test_with_lambda_one_every_member_equals_scikit_learn(solver: str) -> None:
    log = simulate_clicks([30, 12, 55, 8, 20], seed=3)
    found = fit_random_effect(
        log.members, log.features, log.labels, weights=log.weights, options=RandomEffectOptions()
    )
    for number, member in enumerate(sorted(set(log.members))):
        own = np.array(log.members) == member
        peer = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000, solver=solver)
        peer.fit(log.features[own], log.labels[own], log.weights[own])
        expected = np.append(peer.intercept_, peer.coef_[0])
        np.testing.assert_allclose(table(found)[number], expected, atol=1e-6, rtol=0)


def test_a_real_data_set_with_raw_scales_reaches_the_optimum_of_scikit_learn() -> None:
    """Features from 1e-3 to 4e3 of the breast cancer set, unscaled: the fit must not care."""
    data = load_breast_cancer()
    model = fit_random_effect(["all"] * len(data.target), data.data, data.target)
    peer = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
    peer.fit(data.data, data.target)
    np.testing.assert_allclose(model.dense(), peer.coef_, atol=1e-6, rtol=0)
    assert model.intercepts[0] == pytest.approx(peer.intercept_[0], abs=1e-6)


def test_poisson_with_a_penalty_equals_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 2))
    labels = rng.poisson(np.exp(x @ [0.5, -0.3] + 0.2)).astype(np.float64)
    options = RandomEffectOptions(task="poisson", l2_weight=3.0)
    found = fit_random_effect(["a"] * 60, x, labels, options=options)
    # scikit-learn's Poisson objective is the mean of the losses, so its alpha is lambda / n
    peer = PoissonRegressor(alpha=3.0 / 60, tol=1e-12, max_iter=1000).fit(x, labels)
    np.testing.assert_allclose(table(found)[0], np.append(peer.intercept_, peer.coef_), atol=1e-6)


def objective(beta: Array, log: ClickLog, l2: float, intercept_l2: float) -> float:
    logits = log.offsets + beta[0] + log.features @ beta[1:]
    loss = (log.weights * (np.logaddexp(0, logits) - log.labels * logits)).sum()
    return float(loss + l2 / 2 * beta[1:] @ beta[1:] + intercept_l2 / 2 * beta[0] ** 2)


@pytest.mark.parametrize(("intercept", "penalty"), [("free", 0.0), ("penalized", 2.0)])
def test_offsets_weights_and_intercept_modes_reach_the_optimum_of_the_written_objective(
    intercept: str, penalty: float
) -> None:
    log = simulate_clicks([40], seed=5)
    options = RandomEffectOptions(l2_weight=2.0, intercept=intercept)  # type: ignore[arg-type]
    model = fit(log, options)
    best = scipy.optimize.minimize(
        objective, np.zeros(4), (log, 2.0, penalty), method="BFGS", options={"gtol": 1e-9}
    )
    np.testing.assert_allclose(table(model)[0], best.x, atol=1e-6)
    assert model.report.objectives[0] == pytest.approx(best.fun, abs=1e-10)
    assert model.report.gradient_norms[0] < 1e-8


def test_an_absent_intercept_is_zero_and_the_rest_is_the_fit_without_one() -> None:
    log = simulate_clicks([40], seed=6)
    model = fit(log, RandomEffectOptions(intercept="absent"))
    peer = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000, fit_intercept=False)
    peer.fit(log.features, log.labels, log.weights)
    plain = fit_random_effect(
        log.members, log.features, log.labels, weights=log.weights,
        options=RandomEffectOptions(intercept="absent"),
    )  # fmt: skip
    assert model.intercepts.tolist() == [0.0]
    np.testing.assert_allclose(plain.dense(), peer.coef_, atol=1e-6)


def test_an_intercept_alone_is_the_log_odds() -> None:
    model = fit_random_effect(["a"] * 4, np.empty((4, 0)), [1, 1, 1, 0])
    assert model.intercepts[0] == pytest.approx(np.log(3), abs=1e-9)


def test_coefficients_shrink_to_zero_effect_as_lambda_grows() -> None:
    log = simulate_clicks([60, 60], seed=7)
    sizes = [
        np.abs(table(fit(log, RandomEffectOptions(l2_weight=l2, intercept="penalized")))).max()
        for l2 in (0.1, 1.0, 10.0, 100.0, 1e8)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 1e-5


def test_the_order_of_rows_does_not_matter() -> None:
    log = simulate_clicks([20, 30, 10], seed=8)
    shuffled = np.random.default_rng(0).permutation(len(log.members))
    mixed = fit_random_effect(
        np.array(log.members)[shuffled], log.features[shuffled], log.labels[shuffled],
        offsets=log.offsets[shuffled], weights=log.weights[shuffled],
    )  # fmt: skip
    np.testing.assert_allclose(table(mixed), table(fit(log, RandomEffectOptions())), atol=1e-9)


def test_renaming_entities_permutes_their_coefficients_and_changes_nothing_else() -> None:
    log = simulate_clicks([20, 30, 10], seed=9)
    names = {"member_000": "zoe", "member_001": "ann", "member_002": "moe"}
    renamed = fit_random_effect(
        [names[m] for m in log.members], log.features, log.labels,
        offsets=log.offsets, weights=log.weights,
    )  # fmt: skip
    assert renamed.entity_ids.to_pylist() == ["ann", "moe", "zoe"]
    np.testing.assert_allclose(
        table(renamed), table(fit(log, RandomEffectOptions()))[[1, 2, 0]], atol=1e-12
    )


def test_a_weight_of_two_equals_the_row_twice() -> None:
    log = simulate_clicks([15], seed=10)
    heavy = fit_random_effect(log.members, log.features, log.labels, weights=[2.0] * 15)
    twice = fit_random_effect(
        log.members * 2, np.tile(log.features, (2, 1)), np.tile(log.labels, 2)
    )
    np.testing.assert_allclose(table(heavy), table(twice), atol=1e-10)


def test_a_member_whose_clicks_follow_the_offset_keeps_the_global_score() -> None:
    """Rows whose expected gradient is zero must not move a penalized model."""
    # at logit 0, one click and one skip per feature value cancel exactly
    x = np.array([[1.0], [1.0], [-2.0], [-2.0]])
    model = fit_random_effect(["a"] * 4, x, [1, 0, 1, 0], offsets=np.zeros(4))
    np.testing.assert_allclose(model.score(["a"] * 4, x), 0, atol=1e-12)


def test_an_unseen_entity_scores_zero_so_the_offset_passes_through() -> None:
    log = simulate_clicks([15], seed=11)
    model = fit(log, RandomEffectOptions())
    assert model.score(["nobody"], log.features[:1]).tolist() == [0.0]
    assert model.coefficients("nobody") is None


def test_tastes_are_recovered_for_members_with_fifty_rows_and_nothing_is_invented_without() -> None:
    log = simulate_clicks([50 + 5 * (k % 20) for k in range(200)], seed=12)
    found = table(fit(log, RandomEffectOptions(l2_weight=0.5)))
    assert np.corrcoef(found[:, 1:].ravel(), log.tastes[:, 1:].ravel())[0, 1] >= 0.9
    indifferent = simulate_clicks([100] * 100, seed=13, taste=0.0)
    strong = table(fit(indifferent, RandomEffectOptions(l2_weight=100.0, intercept="penalized")))
    assert np.abs(strong.mean(axis=0)).max() < 0.02
    assert np.abs(strong).mean() < 0.1


def test_a_single_class_entity_is_reported_and_held_finite() -> None:
    """Quirk: with a free intercept such an entity diverges; logits beyond 15 were seen."""
    x = np.random.default_rng(0).normal(size=(40, 2))
    labels = np.append(np.ones(20), np.random.default_rng(1).integers(0, 2, 20))
    model = fit_random_effect(["all"] * 20 + ["both"] * 20, x, labels)
    assert model.report.single_class.tolist() == [True, False]
    assert model.report.converged.all()
    assert 1 < model.intercepts[0] < 6
    # the other entity's intercept stays free: its gradient vanishes without any ridge
    peer = LogisticRegression(tol=1e-12, max_iter=10_000).fit(x[20:], labels[20:])
    assert model.intercepts[1] == pytest.approx(peer.intercept_[0], abs=1e-6)


def test_rows_of_weight_zero_are_as_if_they_were_not_there() -> None:
    """Else an entity whose only other label weighs nothing would diverge unreported."""
    x = np.random.default_rng(0).normal(size=(10, 1))
    labels, weights = np.append(np.ones(9), 0), np.append(np.ones(9), 0)
    model = fit_random_effect(["a"] * 10, x, labels, weights=weights)
    without = fit_random_effect(["a"] * 9, x[:9], labels[:9])
    assert model.report.single_class.tolist() == [True]
    np.testing.assert_allclose(table(model), table(without), atol=1e-12)


@pytest.mark.parametrize("offset", [40.0, 100.0, -100.0])
def test_offsets_that_make_every_row_certain_are_still_corrected(offset: float) -> None:
    """There the curvature is nothing and a plain Newton step would leave the numbers."""
    model = fit_random_effect(["a"] * 4, np.empty((4, 0)), [1, 1, 1, 0], offsets=np.full(4, offset))
    assert model.report.converged.all()
    assert model.intercepts[0] == pytest.approx(np.log(3) - offset, abs=1e-6)


def test_float32_agrees_with_float64_and_stalled_fits_fall_back() -> None:
    log = simulate_clicks([30] * 20, seed=14)
    exact = table(fit(log, RandomEffectOptions()))
    single = fit(log, RandomEffectOptions(dtype="float32"))
    np.testing.assert_allclose(table(single), exact, atol=1e-3)
    # a feature as large as a year, twice, is beyond float32: the fit must repeat in float64
    years = 2000 + np.random.default_rng(0).normal(0, 3, (200, 1))
    x = np.hstack([years, years * years])
    labels = (years[:, 0] > 2000).astype(np.float64)
    labels[::7] = 1 - labels[::7]
    hard = [
        fit_random_effect(["a"] * 200, x, labels, options=RandomEffectOptions(dtype=dtype))
        for dtype in ("float32", "float64")
    ]  # fmt: skip
    assert hard[1].report.converged.all()
    assert hard[0].report.converged.all()
    assert hard[0].report.float64_fallbacks == 1
    np.testing.assert_allclose(hard[0].score(["a"] * 200, x), hard[1].score(["a"] * 200, x),
                               atol=1e-4)  # fmt: skip


def test_sparse_features_give_the_same_model_as_dense_ones() -> None:
    log = simulate_clicks([25, 40], features=6, seed=15)
    log.features[np.random.default_rng(0).random(log.features.shape) < 0.6] = 0
    dense = fit(log, RandomEffectOptions())
    sparse = fit_random_effect(
        log.members, sp.csr_array(log.features), log.labels,
        offsets=log.offsets, weights=log.weights,
    )  # fmt: skip
    np.testing.assert_allclose(table(sparse), table(dense), atol=1e-12)
    np.testing.assert_allclose(
        sparse.score(log.members, sp.csr_array(log.features)),
        dense.score(log.members, log.features), atol=1e-12,
    )  # fmt: skip


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    features=st.integers(0, 5),
    task=st.sampled_from(["logistic", "linear", "poisson"]),
    intercept=st.sampled_from(["free", "penalized"]),
    l2=st.floats(0.05, 20),
    seed=st.integers(0, 1000),
)
def test_every_fit_satisfies_its_optimality_conditions(
    sizes: list[int], features: int, task: Task, intercept: Intercept, l2: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    x, offsets = rng.normal(size=(len(owner), features)), rng.normal(size=len(owner))
    labels = one_member_labels(task, rng, offsets + rng.normal(size=len(owner)))
    weights = rng.uniform(0.5, 2, len(owner))
    options = RandomEffectOptions(task=task, intercept=intercept, l2_weight=l2)
    model = fit_random_effect(
        [f"{number}" for number in owner], x, labels,
        offsets=offsets, weights=weights, options=options,
    )  # fmt: skip
    z = offsets + model.score([f"{number}" for number in owner], x)
    means = {"logistic": 1 / (1 + np.exp(-z)), "linear": z, "poisson": np.exp(z)}[task]
    slope = weights * (means - labels)
    ridge = np.where(model.report.single_class, options.single_class_ridge, 0.0)
    for number in range(len(sizes)):
        own = owner == number
        gradient = slope[own] @ x[own] + l2 * model.dense()[number]
        pull = l2 if intercept == "penalized" else ridge[number]
        assert np.abs(gradient).max(initial=0) < 1e-5
        assert abs(slope[own].sum() + pull * model.intercepts[number]) < 1e-5
    assert model.report.converged.all()


def test_no_rows_and_no_entity_above_the_bound_give_a_model_that_scores_zero() -> None:
    empty = fit_random_effect([], np.empty((0, 1)), [])
    held_back = fit_random_effect(
        ["a", "b"], np.ones((2, 1)), [1, 0], options=RandomEffectOptions(lower_bound=3)
    )
    for model in (empty, held_back):
        assert len(model.entity_ids) == 0
        assert model.score(["a"], np.ones((1, 1))).tolist() == [0.0]
    assert held_back.report.passive == 2


def test_an_entity_without_any_feature_value_or_intercept_scores_zero() -> None:
    x = np.array([[0.0], [0.0], [1.0], [2.0]])
    model = fit_random_effect(
        ["a", "a", "b", "b"], x, [1, 0, 1, 0], options=RandomEffectOptions(intercept="absent")
    )
    assert model.score(["a", "b"], x[2:])[0] == 0


def test_local_features_leave_out_what_an_entity_never_shows_and_change_no_score() -> None:
    log = simulate_clicks([25, 40], features=4, seed=16)
    log.features[:25, 2] = 0
    local = fit(log, RandomEffectOptions())
    everything = fit(log, RandomEffectOptions(local_features=False))
    first = local.coefficients("member_000")
    assert first is not None
    assert set(first.values) == {"feature_0", "feature_1", "feature_3"}
    np.testing.assert_allclose(table(local), table(everything), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1, 2]}, "labels 0 or 1"),
        ({"labels": [0, 1]}, "as many labels"),
        ({"features": np.array([[1.0], [np.nan], [0.0]])}, "finite features"),
        ({"entity_ids": ["a", "b"]}, "as many entity ids"),
    ],
)
def test_rows_that_cannot_be_fitted_are_refused(change: dict[str, object], message: str) -> None:
    rows: dict[str, object] = {
        "entity_ids": ["a", "a", "b"], "features": np.ones((3, 1)), "labels": [0, 1, 1],
    }  # fmt: skip
    with pytest.raises(CookbookError, match=message):
        fit_random_effect(**(rows | change))  # type: ignore[arg-type]
