"""The plain arrays that the compiled solver works on: one block of data per entity."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]


class Block(NamedTuple):
    """One entity's data: design (p, n) with a feature a row; labels, weights, offsets (n,)."""

    design: Floats
    labels: Floats
    weights: Floats
    offsets: Floats


class Penalty(NamedTuple):
    """Per coefficient (p,): curvature / 2 * (beta - center)^2 + l1 * |beta|, and its limits."""

    curvature: Floats
    center: Floats
    l1: Floats
    lower: Floats
    upper: Floats


class Blocks(NamedTuple):
    """Blocks of many entities end to end.

    Entity e owns rows `row_starts[e]:row_starts[e + 1]`, coefficients
    `starts[e]:starts[e + 1]`, and its (p, n) design stands at `design_starts[e]`.
    """

    design: Floats
    labels: Floats
    weights: Floats
    offsets: Floats
    row_starts: Integers
    design_starts: Integers
    starts: Integers


class Stopping(NamedTuple):
    """Iterations at most, squared Newton decrement to reach, relative rounding of an objective."""

    max_iterations: int
    tolerance: float
    slack: float


class Outcome(NamedTuple):
    """Per entity (E,): Newton iterations, largest gradient entry, objective, reached optimum."""

    iterations: npt.NDArray[np.int32]
    gradient_norms: npt.NDArray[np.float64]
    objectives: npt.NDArray[np.float64]
    converged: npt.NDArray[np.bool_]

    @classmethod
    def empty(cls, entities: int) -> "Outcome":
        """Room for the outcome of `entities` fits, none of them done."""
        return cls(
            np.zeros(entities, np.int32),
            np.zeros(entities),
            np.zeros(entities),
            np.zeros(entities, np.bool_),
        )

    def part(self, first: int, last: int) -> "Outcome":
        """Views of entities `first` to `last`."""
        own = slice(first, last)
        return Outcome(
            self.iterations[own], self.gradient_norms[own], self.objectives[own],
            self.converged[own],
        )  # fmt: skip


class Scratch(NamedTuple):
    """Working memory of one fit, reused by the next one."""

    hessian: Floats
    factor: Floats
    gradient: Floats
    step: Floats
    margins: Floats
    change: Floats
    trial: Floats
    first: Floats
    second: Floats
