"""Exact fits of many small generalized linear models: damped Newton with Cholesky, compiled.

Each block is one entity: its design with one feature a row, so that every inner loop runs over
neighbors in memory, and its own quadratic penalty per coefficient. An L2 penalty has center 0, a
free intercept curvature 0, a Gaussian prior its old mean and 1 / variance. L1 and limits turn the
Newton step into a proximal one, solved by coordinate descent on the same quadratic model. A block
costs what its own size costs, so uneven entities need no padding.
"""

import numpy as np

from tasks.core.personalization.blocks import (
    Block,
    Blocks,
    Floats,
    Outcome,
    Penalty,
    Scratch,
    Stopping,
)
from tasks.core.personalization.cholesky import factorize, solve_factored
from tasks.core.personalization.compiled import compiled

CHOLESKY = "70ca9a3821f90660"  # first digits of the sha256 of cholesky.py: see compiled.py
LOGISTIC, LINEAR, POISSON = 0, 1, 2
NO_VARIANCES, SIMPLE, FULL = 0, 1, 2
FARTHEST = 30.0  # logits a step may move: where all rows are certain, Newton's step is endless
ROWS_AT_ONCE = 512  # two feature rows of this many float64 values stay in the first-level cache


@compiled
def losses(task: int, block: Block, margins: Floats, first: Floats, second: Floats) -> float:
    """Weighted loss at `margins` (n,); writes its first and second derivatives by margin."""
    total = 0.0
    labels, weights = block.labels, block.weights
    if task == LOGISTIC:
        for i in range(margins.size):
            z = margins[i]
            small = np.exp(-abs(z))
            inverse = 1 / (1 + small)
            probability = inverse if z >= 0 else small * inverse
            total += weights[i] * (max(z, z * 0) - labels[i] * z + np.log1p(small))
            first[i] = weights[i] * (probability - labels[i])
            second[i] = weights[i] * small * inverse * inverse
    elif task == LINEAR:
        for i in range(margins.size):
            error = margins[i] - labels[i]
            total += weights[i] * error * error / 2
            first[i] = weights[i] * error
            second[i] = weights[i]
    else:
        for i in range(margins.size):
            rate = np.exp(margins[i])
            total += weights[i] * (rate - labels[i] * margins[i])
            first[i] = weights[i] * (rate - labels[i])
            second[i] = weights[i] * rate
    return total


@compiled
def penalty_value(penalty: Penalty, beta: Floats, step: Floats, length: float) -> float:
    """Quadratic and L1 penalty at beta + length * step."""
    total = 0.0
    for j in range(beta.size):
        value = beta[j] + length * step[j]
        distance = value - penalty.center[j]
        total += penalty.curvature[j] * distance * distance / 2 + penalty.l1[j] * abs(value)
    return total


@compiled
def smooth_gradient(block: Block, penalty: Penalty, beta: Floats, scratch: Scratch) -> None:
    """Gradient of the loss and the quadratic penalty, from the loss's first derivatives."""
    for j in range(beta.size):
        total = penalty.curvature[j] * (beta[j] - penalty.center[j])
        row = block.design[j]
        for i in range(row.size):
            total += row[i] * scratch.first[i]
        scratch.gradient[j] = total


@compiled
def fill_hessian(block: Block, penalty: Penalty, scratch: Scratch) -> None:
    """Lower triangle of X' D X + diag(curvature), in bands of rows that fit the cache."""
    features, rows = block.design.shape
    hessian = scratch.hessian
    for j in range(features):
        for k in range(j + 1):
            hessian[j, k] = penalty.curvature[j] if j == k else 0
    for begin in range(0, rows, ROWS_AT_ONCE):
        end = min(begin + ROWS_AT_ONCE, rows)
        weighted = scratch.trial[begin:end]
        second = scratch.second[begin:end]
        for j in range(features):
            row = block.design[j, begin:end]
            for i in range(end - begin):
                weighted[i] = row[i] * second[i]
            for k in range(j + 1):
                other = block.design[k, begin:end]
                total = weighted[0] * 0
                for i in range(end - begin):
                    total += weighted[i] * other[i]
                hessian[j, k] += total


@compiled
def newton_step(beta: Floats, scratch: Scratch) -> float:
    """Newton step; returns the squared Newton decrement g' H^-1 g, the decrease it promises."""
    if not factorize(scratch.hessian, scratch.factor):
        return np.nan
    for j in range(beta.size):
        scratch.step[j] = -scratch.gradient[j]
    solve_factored(scratch.factor, scratch.step)
    decrement = 0.0
    for j in range(beta.size):
        decrement -= scratch.step[j] * scratch.gradient[j]
    return decrement


@compiled
def proximal_value(penalty: Penalty, j: int, target: float, curvature: float) -> float:
    """Minimizer of curvature/2 (b - target)^2 + l1 |b| within the limits of coefficient j."""
    shrunk = max(abs(target) - penalty.l1[j] / curvature, 0.0)
    value: float = shrunk if target > 0 else -shrunk
    bounded: float = min(max(value, penalty.lower[j]), penalty.upper[j])
    return bounded


@compiled
def proximal_step(penalty: Penalty, beta: Floats, scratch: Scratch) -> float:
    """Step to the minimum of the quadratic model plus L1 within the box; returns its promise.

    Source: Lee, Sun and Saunders, Proximal Newton-type methods (2014), section 2.3.
    """
    size = beta.size
    step, hessian, slope = scratch.step, scratch.hessian, scratch.gradient.copy()
    for j in range(size):
        step[j] = 0
    for _ in range(10000):
        largest = 0.0
        for j in range(size):
            curvature = hessian[j, j] + 1e-12
            old = beta[j] + step[j]
            new = proximal_value(penalty, j, old - slope[j] / curvature, curvature)
            move = new - old
            if move != 0:
                step[j] += move
                largest = max(largest, move * move * curvature)
                for k in range(size):
                    slope[k] += move * (hessian[j, k] if k <= j else hessian[k, j])
        if largest < 1e-24:
            break
    promise = 0.0
    for j in range(size):
        lost = penalty.l1[j] * (abs(beta[j]) - abs(beta[j] + step[j]))
        promise += lost - scratch.gradient[j] * step[j]
    return promise


@compiled
def optimality_gap(penalty: Penalty, composite: bool, beta: Floats, scratch: Scratch) -> float:
    """Largest entry of the gradient or, with L1 or limits, of the smallest subgradient."""
    largest = 0.0
    for j in range(beta.size):
        slope = scratch.gradient[j]
        if composite:
            free = beta[j] - slope  # a unit proximal-gradient step leaves an optimum in place
            slope = beta[j] - proximal_value(penalty, j, free, 1.0)
        largest = max(largest, abs(slope))
    return largest


@compiled
def line_search(
    task: int, block: Block, penalty: Penalty, beta: Floats, scratch: Scratch,
    value: float, promise: float, slack: float,
) -> tuple[float, float]:  # fmt: skip
    """Halve the step until the objective falls enough; (length, new value), length 0 if never."""
    change, step = scratch.change, scratch.step
    change[:] = 0
    for j in range(beta.size):
        row = block.design[j]
        for i in range(row.size):
            change[i] += step[j] * row[i]
    farthest = 0.0
    for i in range(change.size):
        farthest = max(farthest, abs(change[i]))
    length = 1.0
    if task != LINEAR and farthest > FARTHEST:
        length = FARTHEST / farthest
    for _ in range(60):
        for i in range(change.size):
            scratch.trial[i] = scratch.margins[i] + length * change[i]
        found = losses(task, block, scratch.trial, scratch.first, scratch.second)
        found += penalty_value(penalty, beta, step, length)
        if found <= value - 1e-4 * length * promise + slack * (1 + abs(value)):
            return length, found
        length /= 2
    return 0.0, value


@compiled
def minimize(
    task: int, block: Block, penalty: Penalty, composite: bool, beta: Floats, scratch: Scratch,
    stopping: Stopping,
) -> tuple[int, bool, float]:  # fmt: skip
    """Bring `beta` (p,) to the optimum in place; (iterations, converged, objective).

    It stops after the full step whose promised decrease is below `tolerance`: Newton's error is
    then the square of a small number.
    """
    margins = scratch.margins
    margins[:] = block.offsets
    for j in range(beta.size):
        for i in range(margins.size):
            margins[i] += beta[j] * block.design[j, i]
    value = losses(task, block, margins, scratch.first, scratch.second)
    value += penalty_value(penalty, beta, beta, 0.0)
    for iteration in range(stopping.max_iterations):
        smooth_gradient(block, penalty, beta, scratch)
        fill_hessian(block, penalty, scratch)
        promise = proximal_step(penalty, beta, scratch) if composite else newton_step(beta, scratch)
        if not np.isfinite(promise):
            return iteration, False, value
        length, value = line_search(task, block, penalty, beta, scratch, value, promise,
                                    stopping.slack)  # fmt: skip
        if length == 0:
            losses(task, block, margins, scratch.first, scratch.second)
            return iteration, promise <= stopping.tolerance, value
        for j in range(beta.size):
            beta[j] += length * scratch.step[j]
        margins[:] = scratch.trial
        if promise <= stopping.tolerance and length == 1:
            return iteration + 1, True, value
    return stopping.max_iterations, False, value


@compiled
def write_variances(kind: int, scratch: Scratch, variances: Floats) -> None:
    """SIMPLE: 1 / diag(H); FULL: diag(H^-1), at the Hessian in `scratch`; variances (p,)."""
    if kind == SIMPLE:
        for j in range(variances.size):
            variances[j] = 1 / (scratch.hessian[j, j] + 1e-300)
        return
    if not factorize(scratch.hessian, scratch.factor):
        variances[:] = np.nan
        return
    for j in range(variances.size):
        scratch.step[:] = 0
        scratch.step[j] = 1
        solve_factored(scratch.factor, scratch.step)
        variances[j] = scratch.step[j]


@compiled
def new_scratch(like: Floats, rows: int, features: int) -> Scratch:
    """Working memory for a fit of `rows` rows and `features` coefficients."""
    square = np.empty((features, features), like.dtype)
    line = np.empty(features, like.dtype)
    column = np.empty(rows, like.dtype)
    return Scratch(
        square, square.copy(), line, line.copy(),
        column, column.copy(), column.copy(), column.copy(), column.copy(),
    )  # fmt: skip


@compiled
def solve_blocks(
    task: int, composite: bool, blocks: Blocks, penalty: Penalty, stopping: Stopping,
    beta: Floats, variance_kind: int, variances: Floats, outcome: Outcome,
) -> None:  # fmt: skip
    """Fit every block from the start values in `beta` (flat, all coefficients), in place."""
    scratch = new_scratch(beta, 0, 0)
    for e in range(blocks.starts.size - 1):
        begin, end = blocks.starts[e], blocks.starts[e + 1]
        first, last = blocks.row_starts[e], blocks.row_starts[e + 1]
        size, rows = end - begin, last - first
        if rows != scratch.margins.size or size != scratch.gradient.size:
            scratch = new_scratch(beta, rows, size)
        place = blocks.design_starts[e]
        design = blocks.design[place : place + size * rows].reshape(size, rows)
        block = Block(
            design, blocks.labels[first:last], blocks.weights[first:last],
            blocks.offsets[first:last],
        )  # fmt: skip
        own = Penalty(
            penalty.curvature[begin:end], penalty.center[begin:end], penalty.l1[begin:end],
            penalty.lower[begin:end], penalty.upper[begin:end],
        )  # fmt: skip
        iterations, converged, value = minimize(
            task, block, own, composite, beta[begin:end], scratch, stopping
        )
        outcome.iterations[e], outcome.converged[e] = iterations, converged
        outcome.objectives[e] = value
        smooth_gradient(block, own, beta[begin:end], scratch)
        outcome.gradient_norms[e] = optimality_gap(own, composite, beta[begin:end], scratch)
        if variance_kind != NO_VARIANCES:
            fill_hessian(block, own, scratch)
            write_variances(variance_kind, scratch, variances[begin:end])
