"""What to fit for each entity: the options of one random or fixed effect, checked once."""

from dataclasses import dataclass
from typing import Literal

from tasks.core.errors import CookbookError

Task = Literal["logistic", "linear", "poisson"]
Intercept = Literal["free", "penalized", "absent"]
Variances = Literal["none", "simple", "full"]
Normalization = Literal["none", "standardize", "by_deviation", "by_largest"]


@dataclass(frozen=True)
class RandomEffectOptions:
    """How one model per entity is fitted.

    The objective of an entity is `sum_i w_i loss(y_i, x_i beta + offset_i) + l2_weight / 2 *
    |beta|^2 + l1_weight * |beta|`, the intercept outside both penalties unless it is "penalized".

    task: loss; logistic labels are 0 or 1, Poisson labels 0 or more.
    lower_bound: entities with fewer rows are passive: not trained, their rows pass the offset.
    lower_bound_needs_prior: apply the lower bound only to entities that an earlier model knows.
    upper_bound: at most this many rows an entity train, drawn by a seeded hash of the row id and
        weighted by count / upper_bound; None for all rows.
    negative_rate: share of the rows with label 0 that train, each weighted by 1 / rate.
    variances: diagonal of the inverse Hessian ("full"), inverse of its diagonal ("simple").
    sparsity_threshold: coefficients of at most this size are stored as none.
    feature_ratio: keep the ceil(ratio * rows) features that correlate most with the label.
    coefficient_limits: (lowest, highest) of every coefficient, the intercept aside.
    feature_limits: (feature name, lowest, highest) for single features, in place of those.
    normalization: penalize the coefficients that the scaled features would have; those reported
        belong to the features as given.
    single_class_ridge: penalty on a free intercept whose entity has one class of labels only,
        where the optimum lies at infinity.
    prior_weight: strength of the Gaussian prior of an incremental fit.
    local_features: leave out features that are zero on all rows of the entity.
    keep_vanished_features, keep_vanished_entities: with a warm start, carry over what the earlier
        model knows and the new rows do not show.
    dtype: arithmetic of the fit; float32 fits that stall are repeated in float64.
    """

    task: Task = "logistic"
    l2_weight: float = 1.0
    l1_weight: float = 0.0
    intercept: Intercept = "free"
    lower_bound: int = 1
    lower_bound_needs_prior: bool = False
    upper_bound: int | None = None
    negative_rate: float = 1.0
    variances: Variances = "none"
    sparsity_threshold: float = 0.0
    feature_ratio: float | None = None
    coefficient_limits: tuple[float, float] | None = None
    feature_limits: tuple[tuple[str, float, float], ...] = ()
    normalization: Normalization = "none"
    single_class_ridge: float = 0.1
    prior_weight: float = 1.0
    local_features: bool = True
    keep_vanished_features: bool = True
    keep_vanished_entities: bool = True
    max_iterations: int = 100
    tolerance: float = 1e-10
    dtype: Literal["float64", "float32"] = "float64"
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises CookbookError on values that no fit could honor."""
        self._check(self.l2_weight >= 0 and self.l1_weight >= 0, "penalty weights of 0 or more")
        self._check(self.lower_bound >= 1, "a lower bound of 1 row or more")
        enough = self.upper_bound is None or self.upper_bound >= self.lower_bound
        self._check(enough, "an upper bound that is not below the lower bound")
        self._check(0 < self.negative_rate <= 1, "a negative_rate above 0 and at most 1")
        sampled = self.negative_rate == 1 or self.task == "logistic"
        self._check(sampled, "negative_rate 1 unless the task is logistic")
        self._check(self.feature_ratio is None or self.feature_ratio > 0, "a feature_ratio above 0")
        shift = self.normalization != "standardize" or self.intercept == "free"
        self._check(shift, "a free intercept with normalization 'standardize'")
        lows = [self.coefficient_limits] if self.coefficient_limits else []
        pairs = [*lows, *((low, high) for _, low, high in self.feature_limits)]
        self._check(all(low <= high for low, high in pairs), "lowest limits below highest ones")
        self._check(self.single_class_ridge >= 0, "a single_class_ridge of 0 or more")

    def _check(self, holds: bool, expected: str) -> None:
        if not holds:
            raise CookbookError(f"Random effect options need {expected}; got {self}.")

    @property
    def composite(self) -> bool:
        """Whether an L1 penalty or limits make the objective more than smooth."""
        limited = self.coefficient_limits is not None or bool(self.feature_limits)
        return self.l1_weight > 0 or limited
