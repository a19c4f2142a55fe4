"""Fits with many features or rows against scikit-learn and against the block solver."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from tasks.core.personalization import batch_fit, large_fit
from tasks.core.personalization.options import RandomEffectOptions, Task
from tasks.core.personalization.random_effects import fit_random_effect


def test_an_entity_with_thousands_of_sparse_features_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    x = sp.random_array((400, 3000), density=0.02, rng=rng, format="csr")
    labels = (rng.random(400) < 0.4).astype(np.float64)
    model = fit_random_effect(["a"] * 400, x, labels)
    peer = LogisticRegression(tol=1e-12, max_iter=10_000).fit(x, labels)
    np.testing.assert_allclose(model.dense(), peer.coef_, atol=1e-6)
    assert model.intercepts[0] == pytest.approx(peer.intercept_[0], abs=1e-6)
    assert model.report.converged.all()
    assert model.report.gradient_norms[0] < 1e-6


@pytest.mark.parametrize("task", ["logistic", "linear", "poisson"])
def test_rows_read_in_bands_give_what_the_block_solver_gives(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 4))
    labels = rng.integers(0, 2, 300).astype(np.float64)
    options = RandomEffectOptions(task=task, variances="full", l2_weight=0.7)
    rows = {
        "entity_ids": ["b", "a", "a"] * 100, "features": x, "labels": labels,
        "offsets": rng.normal(size=300), "weights": rng.uniform(1, 2, 300), "options": options,
    }  # fmt: skip
    blocks = fit_random_effect(**rows)  # type: ignore[arg-type]
    monkeypatch.setattr(batch_fit, "LONG", 600)
    monkeypatch.setattr(large_fit, "ROWS_AT_ONCE", 64)
    banded = fit_random_effect(**rows)  # type: ignore[arg-type]
    np.testing.assert_allclose(banded.dense(), blocks.dense(), atol=1e-8)
    np.testing.assert_allclose(banded.variances, blocks.variances, atol=1e-8)
    np.testing.assert_allclose(banded.report.objectives, blocks.report.objectives, rtol=1e-12)
    assert banded.report.penalty == pytest.approx(blocks.report.penalty, rel=1e-8)
