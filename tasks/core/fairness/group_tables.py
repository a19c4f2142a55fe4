"""A table of every group's own figures, beside the gaps: fairlearn's MetricFrame.

By its words: `by_group`, `difference` (largest minus smallest), `ratio` (smallest over
largest) and `group_min`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from fairlearn.metrics import MetricFrame

from tasks.core.errors import CookbookError
from tasks.core.fairness.attributes import Groups, attributes_of
from tasks.core.fairness.model_metrics import auc, confusion_matrix

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GroupTable:
    """One metric of one attribute: each group's value and rows, and how far they spread."""

    attribute: str
    metric: str
    overall: float
    by_group: dict[str, float]
    rows: dict[str, int]
    difference: float
    ratio: float
    group_min: float


def group_tables(
    scores: FloatArray,
    labels: FloatArray,
    groups: Groups,
    *,
    positive_from: float = 1.0,
) -> list[GroupTable]:
    """Tables of expected positive rate, precision, recall and AUC, for each attribute.

    `scores` are probabilities, `labels` grades or clicks. Every group is in, small ones
    too: look at `rows` before believing one. A group with one class has a NaN AUC.

    Raises: CookbookError when scores leave 0 to 1.
    """
    if len(scores) and not (scores.min() >= 0.0 and scores.max() <= 1.0):
        raise CookbookError(
            f"group tables need probabilities, got {scores.min():g} to {scores.max():g}: "
            "apply the calibration first"
        )
    positive = (labels >= positive_from).astype(np.float64)
    tables: list[GroupTable] = []
    for attribute in attributes_of(groups):
        known = attribute.codes >= 0
        names = np.array(attribute.groups)[attribute.codes[known]]
        frame = MetricFrame(
            metrics=_METRICS,
            y_true=positive[known],
            y_pred=scores[known],
            sensitive_features=names,
        )
        sizes = {name: int((names == name).sum()) for name in attribute.groups}
        tables += [_table(frame, attribute.name, name, sizes) for name in _METRICS]
    return tables


def _positive_rate(labels: FloatArray, predictions: FloatArray) -> float:
    return float(np.mean(predictions))


def _precision(labels: FloatArray, predictions: FloatArray) -> float:
    return confusion_matrix(np.asarray(labels), np.asarray(predictions)).precision


def _recall(labels: FloatArray, predictions: FloatArray) -> float:
    return confusion_matrix(np.asarray(labels), np.asarray(predictions)).recall


def _auc(labels: FloatArray, predictions: FloatArray) -> float:
    return auc(np.asarray(labels), np.asarray(predictions))


_METRICS: dict[str, Callable[[FloatArray, FloatArray], float]] = {
    "demographic_parity": _positive_rate,
    "precision": _precision,
    "recall": _recall,
    "auc": _auc,
}


def _table(frame: MetricFrame, attribute: str, metric: str, rows: dict[str, int]) -> GroupTable:
    return GroupTable(
        attribute=attribute,
        metric=metric,
        overall=float(frame.overall[metric]),
        by_group={str(name): float(v) for name, v in frame.by_group[metric].items()},
        rows=rows,
        difference=float(frame.difference()[metric]),
        ratio=float(frame.ratio()[metric]),
        group_min=float(frame.group_min()[metric]),
    )
