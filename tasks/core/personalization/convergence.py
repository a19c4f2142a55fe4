"""What a fit did: who trained, who did not, and how close every model is to its optimum."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PER_ENTITY = ("rows", "iterations", "gradient_norms", "objectives", "converged", "single_class")


@dataclass(frozen=True)
class ConvergenceReport:
    """Counts of one coordinate's fit and, per entity of the model (E,), how it ended.

    trained: entities fitted; passive: below the lower bound; carried: taken over from an earlier
    model. active_rows trained; passive_rows were only scored. float64_fallbacks: float32 fits
    repeated in float64. penalty: part of the objectives that is no loss. The arrays hold 0 rows and
    iterations for carried entities; `gradient_norms` is the largest entry of the final gradient
    (with L1 or limits, of its smallest subgradient); `objectives` the final objective.
    """

    trained: int
    passive: int
    carried: int
    active_rows: int
    passive_rows: int
    float64_fallbacks: int
    penalty: float
    rows: npt.NDArray[np.int64]
    iterations: npt.NDArray[np.int32]
    gradient_norms: npt.NDArray[np.float64]
    objectives: npt.NDArray[np.float64]
    converged: npt.NDArray[np.bool_]
    single_class: npt.NDArray[np.bool_]

    def summary(self) -> dict[str, float]:
        """The figures for people and for report.json."""
        fitted = self.rows > 0
        most = self.gradient_norms[fitted].max(initial=0.0)
        return {
            "trained": self.trained,
            "passive": self.passive,
            "carried": self.carried,
            "single_class": int(self.single_class.sum()),
            "unconverged": int((fitted & ~self.converged).sum()),
            "active_rows": self.active_rows,
            "passive_rows": self.passive_rows,
            "float64_fallbacks": self.float64_fallbacks,
            "mean_iterations": float(self.iterations[fitted].mean()) if fitted.any() else 0.0,
            "largest_gradient": float(most),
            "objective": float(self.objectives[fitted].sum()),
        }
