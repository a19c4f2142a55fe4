"""Small positive definite systems: Cholesky factors, damped where a direction is flat."""

import numpy as np

from tasks.core.personalization.blocks import Floats
from tasks.core.personalization.compiled import compiled


@compiled
def cholesky(hessian: Floats, factor: Floats, damping: float, floor: float) -> bool:
    """Lower Cholesky factor of hessian + damping * diagonal; False if a pivot is rounding only."""
    for j in range(hessian.shape[0]):
        for k in range(j + 1):
            total = hessian[j, k]
            for m in range(k):
                total -= factor[j, m] * factor[k, m]
            if j > k:
                factor[j, k] = total / factor[k, k]
                continue
            total += damping * (hessian[j, j] + 1)
            if not (total > hessian[j, j] * floor and np.isfinite(total)):
                return False
            factor[j, j] = np.sqrt(total)
    return True


@compiled
def solve_factored(factor: Floats, target: Floats) -> None:
    """Replace `target` (p,) by the solution of (L L') x = target."""
    size = target.size
    for j in range(size):
        total = target[j]
        for k in range(j):
            total -= factor[j, k] * target[k]
        target[j] = total / factor[j, j]
    for j in range(size - 1, -1, -1):
        target[j] /= factor[j, j]
        for k in range(j):
            target[k] -= factor[j, k] * target[j]


@compiled
def factorize(hessian: Floats, factor: Floats) -> bool:
    """Cholesky factor of a Hessian, its diagonal raised where a direction is flat.

    Only a direction without data and penalty is flat. False if none helps, and in float32, which
    cannot tell a flat direction from a steep one: the fit is then repeated in float64.
    """
    single = hessian.itemsize == 4
    damping = 0.0
    while not cholesky(hessian, factor, damping, 1e-5 if single else 1e-15):
        damping = max(damping * 10, 1e-10)
        if damping > 1e10 or single:
            return False
    return True
