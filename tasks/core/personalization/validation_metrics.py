"""How good scores are on held-out rows: area under the ROC curve, squared error and others."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from tasks.core.personalization.entities import Ids, group_rows
from tasks.core.personalization.options import Task

Array = npt.NDArray[np.float64]
Metric = Literal["auc", "mse", "logistic_loss", "poisson_loss"]


def auc(labels: Array, scores: Array) -> float:
    """Chance that a random positive scores above a random negative, ties counting half.

    labels, scores (n,). NaN with one class only. Numbers: labels 1, 0, 1, 0 with scores .9, .9,
    .1, .1 give 0.5. Source: the Mann-Whitney statistic; Hanley and McNeil (1982).
    """
    positive = labels > 0
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)
    above = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def area_under_precision_recall(labels: Array, scores: Array) -> float:
    """Mean precision over the positives, rows of one score taken together; NaN without any."""
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(labels[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    gained = np.diff(found[last], prepend=0.0)
    total = found[-1]
    return float((gained * found[last] / (last + 1)).sum() / total) if total else float("nan")


def mean_squared_error(labels: Array, scores: Array) -> float:
    """Mean of (score - label)^2 over rows."""
    return float(np.square(scores - labels).mean())


def per_row_losses(task: Task, labels: Array, scores: Array) -> Array:
    """The loss (n,) that a fit of `task` minimizes, at total scores (n,)."""
    if task == "linear":
        return np.square(scores - labels) / 2
    partition = np.logaddexp(0, scores) if task == "logistic" else np.exp(scores)
    return np.asarray(partition - labels * scores)


def logistic_loss(labels: Array, scores: Array) -> float:
    """Mean cross-entropy in nats of logits `scores` (n,) against labels 0 or 1."""
    return float(per_row_losses("logistic", labels, scores).mean())


def poisson_loss(labels: Array, scores: Array) -> float:
    """Mean of exp(score) - label * score over rows."""
    return float(per_row_losses("poisson", labels, scores).mean())


def grouped(
    metric: Callable[[Array, Array], float], group_ids: Ids, labels: Array, scores: Array
) -> dict[str, float]:
    """The metric within each group, by group id; NaN where a group has one class only."""
    groups = group_rows(group_ids)
    own = np.split(groups.order, groups.starts[1:-1])
    names = groups.entity_ids.to_pylist()
    return {name: metric(labels[i], scores[i]) for name, i in zip(names, own, strict=True)}


def precision_at(k: int) -> Callable[[Array, Array], float]:
    """Share of positives among the k highest scores (all, where fewer), ties in given order."""

    def precision(labels: Array, scores: Array) -> float:
        best = np.argsort(-scores, kind="stable")[:k]
        return float((labels[best] > 0).mean())

    return precision


METRICS: dict[Metric, tuple[Callable[[Array, Array], float], bool]] = {
    "auc": (auc, True),
    "mse": (mean_squared_error, False),
    "logistic_loss": (logistic_loss, False),
    "poisson_loss": (poisson_loss, False),
}
"""Each metric and whether more is better."""


def is_better(value: float, than: float, metric: Metric) -> bool:
    """Whether `value` beats `than` in this metric."""
    return value > than if METRICS[metric][1] else value < than
