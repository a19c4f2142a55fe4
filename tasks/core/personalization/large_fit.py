"""One fit with too many features or rows for the block solver: Newton on the rows as they lie.

Up to 1,024 coefficients the Hessian is built in bands of rows; beyond, each Newton step is found
by conjugate gradients, which need only products with the design matrix.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp
from scipy.special import expit

from tasks.core.personalization.blocks import Penalty, Stopping
from tasks.core.personalization.design import Features
from tasks.core.personalization.options import Task
from tasks.core.personalization.validation_metrics import per_row_losses

Array = npt.NDArray[np.float64]
ROWS_AT_ONCE = 65_536
DENSE_HESSIAN = 1_024
CONJUGATE_STEPS = 500


@dataclass(frozen=True)
class Design:
    """Rows `order` of `features` on `columns`, with a column of ones first if `intercept`.

    A dense matrix is read in bands and never copied whole, so a fixed effect on all rows needs no
    more memory than the rows themselves.
    """

    features: Features
    order: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int32]
    intercept: bool

    def bands(self) -> Iterator[tuple[slice, Any]]:
        """The matrix (n, p) in bands of rows, dense or CSR as the features are."""
        features: Any = self.features
        for start in range(0, len(self.order), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            band = features[self.order[rows]][:, self.columns].astype(np.float64)
            if self.intercept:
                ones = np.ones((band.shape[0], 1))
                if isinstance(band, np.ndarray):
                    band = np.hstack([ones, band])
                else:
                    band = sp.hstack([sp.csr_array(ones), band], format="csr")
            yield rows, band

    def times(self, beta: Array) -> Array:
        """Product (n,) with coefficients (p,)."""
        return np.concatenate([band @ beta for _, band in self.bands()])

    def transposed_times(self, values: Array) -> Array:
        """Product (p,) of the transpose with values (n,)."""
        return _total([band.T @ values[rows] for rows, band in self.bands()])

    def weighted_squares(self, second: Array) -> Array:
        """Diagonal (p,) of X' diag(second) X."""
        return _total([(band * band).T @ second[rows] for rows, band in self.bands()])

    def weighted_products(self, second: Array) -> Array:
        """X' diag(second) X (p, p), second (n,)."""
        total = np.zeros(())
        for rows, band in self.bands():
            scaled = band * second[rows, None]
            part = scaled.T @ band
            total = total + (part if isinstance(part, np.ndarray) else part.toarray())
        return total


def _total(parts: list[Array]) -> Array:
    return np.asarray(np.sum(parts, axis=0), np.float64)


@dataclass(frozen=True)
class LargeFit:
    """Where one large fit ended; variances (p,) are the asked-for ones or empty."""

    beta: Array
    iterations: int
    gradient_norm: float
    objective: float
    converged: bool
    variances: Array


@dataclass(frozen=True)
class Problem:
    """One entity's objective: labels, weights and offsets (n,), penalty (p,)."""

    task: Task
    design: Design
    labels: Array
    weights: Array
    offsets: Array
    penalty: Penalty

    def objective(self, margins: Array, beta: Array) -> float:
        """Weighted loss plus penalty."""
        away = beta - np.asarray(self.penalty.center)
        penalty = float((self.penalty.curvature * away * away).sum() / 2)
        return float(self.weights @ per_row_losses(self.task, self.labels, margins)) + penalty

    def gradient(self, margins: Array, beta: Array) -> Array:
        """Gradient (p,) of the objective."""
        slope = self.weights * (self._means(margins) - self.labels)
        pull = np.asarray(self.penalty.curvature * (beta - self.penalty.center))
        return self.design.transposed_times(slope) + pull

    def second(self, margins: Array) -> Array:
        """Second derivative of each row's loss (n,)."""
        means = self._means(margins)
        if self.task == "linear":
            return self.weights
        return self.weights * (means * (1 - means) if self.task == "logistic" else means)

    def _means(self, margins: Array) -> Array:
        if self.task == "linear":
            return margins
        return np.asarray(expit(margins) if self.task == "logistic" else np.exp(margins))


def fit_large(problem: Problem, beta: Array, stopping: Stopping, variances: str) -> LargeFit:
    """Minimize from `beta` (p,) by damped Newton. Source: Nocedal and Wright (2006), algorithm 7.1.

    It stops when the decrease promised by the quadratic model is below `stopping.tolerance`.
    """
    margins = problem.offsets + problem.design.times(beta)
    value, converged, iteration = problem.objective(margins, beta), False, 0
    while not converged and iteration < stopping.max_iterations:
        gradient = problem.gradient(margins, beta)
        step = newton_direction(problem, problem.second(margins), gradient)
        promise = float(-gradient @ step)
        change, length = problem.design.times(step), 1.0
        while length > 1e-15:
            found = problem.objective(margins + length * change, beta + length * step)
            if found <= value - 1e-4 * length * promise + stopping.slack * (1 + abs(value)):
                break
            length /= 2
        beta, margins, value = beta + length * step, margins + length * change, found
        iteration += 1
        converged = promise <= stopping.tolerance and length == 1
    norm = float(np.abs(problem.gradient(margins, beta)).max(initial=0.0))
    spread = _variances(problem, problem.second(margins), variances)
    return LargeFit(beta, iteration, norm, value, converged, spread)


def newton_direction(problem: Problem, second: Array, gradient: Array) -> Array:
    """Step (p,) solving Hessian x = -gradient: by Cholesky, or by conjugate gradients if wide."""
    if len(gradient) <= DENSE_HESSIAN:
        hessian = problem.design.weighted_products(second)
        hessian[np.diag_indices_from(hessian)] += problem.penalty.curvature
        try:
            return -scipy.linalg.cho_solve(scipy.linalg.cho_factor(hessian), gradient)
        except np.linalg.LinAlgError:  # flat directions: the shortest step that solves it
            return -scipy.linalg.lstsq(hessian, gradient)[0]
    return _conjugate_gradients(problem, second, -gradient)


def _conjugate_gradients(problem: Problem, second: Array, target: Array) -> Array:
    """Solve Hessian x = target to a relative 1e-6, preconditioned by the Hessian's diagonal."""
    curvature = np.asarray(problem.penalty.curvature, np.float64)
    diagonal = problem.design.weighted_squares(second) + curvature
    diagonal = np.where(diagonal > 0, diagonal, 1.0)
    solution, residual = np.zeros(len(target)), target.copy()
    scaled = residual / diagonal
    direction, energy = scaled.copy(), float(residual @ scaled)
    enough = 1e-12 * energy
    for _ in range(CONJUGATE_STEPS):
        if energy <= enough:
            break
        product = problem.design.transposed_times(second * problem.design.times(direction))
        product += curvature * direction
        length = energy / float(direction @ product)
        solution += length * direction
        residual -= length * product
        scaled = residual / diagonal
        energy, before = float(residual @ scaled), energy
        direction = scaled + energy / before * direction
    return solution


def _variances(problem: Problem, second: Array, kind: str) -> Array:
    """Diagonal of the inverse Hessian ("full") or inverse of its diagonal ("simple"), (p,)."""
    curvature = np.asarray(problem.penalty.curvature, np.float64)
    if kind == "none":
        return np.zeros(0)
    if kind == "simple":
        return 1 / (problem.design.weighted_squares(second) + curvature)
    hessian = problem.design.weighted_products(second) + np.diag(curvature)
    return np.diag(scipy.linalg.inv(hessian)).copy()
