"""What the features of a coordinate look like, for the report and for choosing a normalization."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tasks.core.personalization.design import Features


def feature_statistics(features: Features, feature_names: Sequence[str]) -> pa.Table:
    """One row per feature (d): rows, nonzero, mean, variance, least, most, mean_absolute.

    features (n, d), dense or CSR, n at least 1; variance divides by n.
    Numbers: the column 0, 2 has nonzero 1, mean 1, variance 1, mean_absolute 1.
    Source: Photon ML's feature summary.
    """
    rows = features.shape[0]
    columns = [_column(features, j) for j in range(features.shape[1])]
    return pa.table(
        {
            "feature": pa.array(list(feature_names), pa.string()),
            "rows": pa.array([rows] * len(columns), pa.int64()),
            "nonzero": [int(np.count_nonzero(column)) for column in columns],
            "mean": [float(column.mean()) for column in columns],
            "variance": [float(column.var()) for column in columns],
            "least": [float(column.min()) for column in columns],
            "most": [float(column.max()) for column in columns],
            "mean_absolute": [float(np.abs(column).mean()) for column in columns],
        }
    )


def _column(features: Features, number: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    column = features[:, [number]]
    dense = column if isinstance(column, np.ndarray) else column.toarray()
    return np.asarray(dense, np.float64).ravel()
