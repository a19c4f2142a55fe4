"""Feature statistics by hand, dense and sparse alike."""

import numpy as np
import pytest
import scipy.sparse as sp

from tasks.core.personalization.design import Features
from tasks.core.personalization.feature_statistics import feature_statistics

X = np.array([[0.0, 1.0], [2.0, -3.0], [0.0, 0.0], [0.0, 2.0]])


@pytest.mark.parametrize("features", [X, sp.csr_array(X)])
def test_statistics_count_the_zeros_of_sparse_columns_too(features: Features) -> None:
    table = feature_statistics(features, ["rare", "signed"]).to_pydict()
    assert table == {
        "feature": ["rare", "signed"], "rows": [4, 4], "nonzero": [1, 3], "mean": [0.5, 0.0],
        "variance": [0.75, 3.5], "least": [0.0, -3.0], "most": [2.0, 2.0],
        "mean_absolute": [0.5, 1.5],
    }  # fmt: skip
