"""Position bias from the scores and clicks of one ranked log, as LiFT estimates it.

For logs with random-order impressions or moved pairs prefer `tasks.core.propensities`; this
one needs nothing but the served scores, and believes that they hold all that matters.
"""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from tasks.core.errors import CookbookError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Bins of the gridded density: far finer than any bandwidth that thousands of rows get.
_N_BINS = 4096


def estimate_position_bias(
    scores: FloatArray,
    positive: npt.NDArray[np.bool_],
    positions: IntArray,
    *,
    cutoff: int = 20,
    maximum_weight: float = 1000.0,
) -> FloatArray:
    """Examination of each position 1 .. the largest one, relative to position 1.

    The bias of position j against j - 1 is the number of positives at j, each weighed by how
    much denser its score is at j - 1, over the number at j - 1; the biases multiply along the
    list and stay constant from `cutoff` on.

    Raises: CookbookError when a position up to the cutoff has no positive.
    Source: LiFT PositionBiasUtils; Nandy et al. 2021, arXiv 2006.11350.
    """
    n = int(positions.max())
    bias = np.ones(n)
    for position in range(2, n + 1):
        if position <= cutoff:
            step = _adjacent_bias(scores, positive, positions, position, maximum_weight)
            bias[position - 1] = bias[position - 2] * step
        else:
            bias[position - 1] = bias[position - 2]
    return bias


def _adjacent_bias(
    scores: FloatArray,
    positive: npt.NDArray[np.bool_],
    positions: IntArray,
    position: int,
    maximum_weight: float,
) -> float:
    here, before = positions == position, positions == position - 1
    n_before = int((before & positive).sum())
    if not n_before or not (here & positive).any():
        raise CookbookError(
            f"position bias needs positives at positions {position - 1} and {position}, got "
            f"none at one of them: lower the cutoff below {position}"
        )
    at = scores[here & positive]
    weights = _density(scores[before], at) / _density(scores[here], at)
    return float(np.minimum(weights, maximum_weight).sum() / n_before)


def _density(sample: FloatArray, at: FloatArray) -> FloatArray:
    """Gaussian kernel density of `sample`, bandwidth 1.06 sd n^-0.2, on a fine grid."""
    bandwidth = 1.06 * sample.std() * len(sample) ** -0.2
    low = min(sample.min(), at.min()) - 5 * bandwidth
    high = max(sample.max(), at.max()) + 5 * bandwidth
    counts, edges = np.histogram(sample, bins=_N_BINS, range=(low, high))
    width = edges[1] - edges[0]
    smooth = gaussian_filter1d(counts.astype(np.float64), bandwidth / width, mode="constant")
    density = np.interp(at, edges[:-1] + width / 2, smooth / (len(sample) * width))
    # A point beyond every kernel's reach still divides and is divided by.
    return np.asarray(np.maximum(density, np.finfo(np.float64).tiny), np.float64)
