"""The checked rows of one fit, and what is read off them once: spread of features, classes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tasks.core.errors import CookbookError
from tasks.core.personalization.design import Features
from tasks.core.personalization.entities import Grouping
from tasks.core.personalization.options import Normalization

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrainingRows:
    """Rows in their given order: features (n, d), labels, offsets and weights (n,)."""

    features: Features
    labels: Array
    offsets: Array
    weights: Array
    feature_names: tuple[str, ...]

    @classmethod
    def checked(
        cls,
        features: Features,
        labels: npt.ArrayLike,
        offsets: npt.ArrayLike | None,
        weights: npt.ArrayLike | None,
        feature_names: Sequence[str] | None,
        task: str,
    ) -> "TrainingRows":
        """Raises CookbookError on unequal lengths, values that are not finite, or wrong labels."""
        rows, width = features.shape
        names = feature_names or [f"feature_{j}" for j in range(width)]
        data = cls(
            features if isinstance(features, np.ndarray) else sp.csr_array(features),
            np.asarray(labels, np.float64),
            np.zeros(rows) if offsets is None else np.asarray(offsets, np.float64),
            np.ones(rows) if weights is None else np.asarray(weights, np.float64),
            tuple(names),
        )
        if len(set(names)) != width or len(names) != width:
            raise CookbookError(
                f"Expected {width} distinct feature names, got {len(names)} "
                f"({len(set(names))} distinct); name each column once."
            )
        data._check_values(task)
        return data

    def _check_values(self, task: str) -> None:
        for name in ("labels", "offsets", "weights"):
            column: Array = getattr(self, name)
            self.check_rows(len(column), name)
            self._refuse(~np.isfinite(column), f"finite {name}")
        values = self.features if isinstance(self.features, np.ndarray) else self.features.data
        self._refuse(~np.isfinite(values), "finite features")
        self._refuse(self.weights < 0, "weights of 0 or more")
        if task == "logistic":
            self._refuse((self.labels != 0) & (self.labels != 1), "labels 0 or 1")
        if task == "poisson":
            self._refuse(self.labels < 0, "labels of 0 or more")

    def check_rows(self, found: int, name: str = "entity ids") -> None:
        """Raises CookbookError unless `found` is the number of rows."""
        if found != self.features.shape[0]:
            raise CookbookError(
                f"Expected as many {name} as the {self.features.shape[0]} rows of features, "
                f"got {found}; pass one per row."
            )

    def _refuse(self, wrong: npt.NDArray[np.bool_], expected: str) -> None:
        if wrong.any():
            raise CookbookError(
                f"Expected {expected}, found {int(wrong.sum())} of {wrong.size} otherwise; a fit "
                "on them would be meaningless, so mend or drop these rows."
            )

    def with_weights(self, weights: Array) -> "TrainingRows":
        """The same rows with other weights (n,)."""
        return replace(self, weights=weights)


def feature_spread(
    features: Features, rows: npt.NDArray[np.int64], normalization: Normalization
) -> Array:
    """What each feature (d,) is divided by before the penalty sees its coefficient; 1 if constant.

    A penalty on the coefficient of x / s is the penalty times s^2 on that of x, so nothing needs
    scaling and mapping back. Standardizing shifts too, which a free intercept takes up whole.
    """
    width = features.shape[1]
    if normalization == "none" or not len(rows):
        return np.ones(width)
    chosen: Any = features[rows]
    if normalization == "by_largest":
        largest = abs(chosen).max(axis=0)
        spread = largest if isinstance(largest, np.ndarray) else largest.toarray().ravel()
    else:
        mean = np.asarray(chosen.mean(axis=0), np.float64)
        square = np.asarray((chosen * chosen).mean(axis=0), np.float64)
        if isinstance(chosen, np.ndarray):
            square = np.square(chosen - mean).mean(axis=0) + np.square(mean)
        spread = np.sqrt(np.maximum(square - np.square(mean), 0))
    return np.where(spread > 0, spread, 1.0)


def single_class_entities(labels: Array, grouping: Grouping, task: str) -> npt.NDArray[np.bool_]:
    """Entities (E,) whose labels alone would send a free intercept to infinity.

    For the logistic task those with one class only, for Poisson those with zeros only.
    """
    if task == "linear" or not len(grouping.order):
        return np.zeros(len(grouping.entity_ids), np.bool_)
    ordered = labels[grouping.order]
    highest = np.maximum.reduceat(ordered, grouping.starts[:-1])
    if task == "poisson":
        return np.asarray(highest == 0)
    return np.asarray(np.minimum.reduceat(ordered, grouping.starts[:-1]) == highest)
