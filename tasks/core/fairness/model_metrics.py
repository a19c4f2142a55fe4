"""Quality of a model on one group's rows, by LiFT's definitions, without its traps.

Labels are 0 or 1; a prediction is 0, 1 or a probability. With probabilities the confusion
matrix holds expected counts, so no threshold needs to be chosen to compare rankers.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def prepare_scores(scores: FloatArray, *, raw: bool, threshold: float | None = None) -> FloatArray:
    """Scores as predictions: raw logits through a sigmoid, then 1 where above `threshold`.

    Strictly above: a score equal to the threshold is a 0. Without a threshold the probability
    itself is returned. Every metric of this file takes what this function gives, so no metric
    can be computed on logits by accident.

    Raises: CookbookError when scores said to be probabilities leave 0 to 1.
    """
    if raw:
        predictions = 1.0 / (1.0 + np.exp(-scores))
    else:
        _need_probabilities(scores)
        predictions = scores
    if threshold is None:
        return np.asarray(predictions, dtype=np.float64)
    return (predictions > threshold).astype(np.float64)


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts, fractional where predictions are probabilities."""

    true_positive: float
    false_positive: float
    true_negative: float
    false_negative: float

    @property
    def precision(self) -> float:
        """TP / (TP + FP); 0 when TP is 0, so a group with nothing selected counts as 0."""
        return _share(self.true_positive, self.false_positive)

    @property
    def recall(self) -> float:
        """TP / (TP + FN), the true positive rate; 0 when TP is 0."""
        return _share(self.true_positive, self.false_negative)

    @property
    def false_positive_rate(self) -> float:
        """FP / (FP + TN); 0 when FP is 0."""
        return _share(self.false_positive, self.true_negative)

    @property
    def false_negative_rate(self) -> float:
        """FN / (FN + TP); 0 when FN is 0."""
        return _share(self.false_negative, self.true_positive)

    @property
    def true_negative_rate(self) -> float:
        """TN / (TN + FP); 0 when TN is 0."""
        return _share(self.true_negative, self.false_positive)


def confusion_matrix(labels: FloatArray, predictions: FloatArray) -> ConfusionMatrix:
    """Generalised confusion matrix: TP = sum of p y, FP = sum of p (1 - y), and so on.

    Raises: CookbookError when predictions leave 0 to 1 or labels are not 0 or 1.
    Source: LiFT StatsUtils.computeGeneralizedConfusionMatrix.
    """
    _need_probabilities(predictions)
    _need_binary(labels)
    return ConfusionMatrix(
        true_positive=float(predictions @ labels),
        false_positive=float(predictions @ (1.0 - labels)),
        true_negative=float((1.0 - predictions) @ (1.0 - labels)),
        false_negative=float((1.0 - predictions) @ labels),
    )


def roc_curve(labels: FloatArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """False and true positive rates at each distinct score, from (0, 0) to (1, 1).

    The origin is part of the curve: without it the first step's area is lost, and a constant
    score gets 0 instead of 0.5. Both classes must be present.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, positive = scores[order], labels[order]
    last_of_tie = np.append(np.flatnonzero(np.diff(ordered) != 0), len(ordered) - 1)
    true_positives = np.cumsum(positive)[last_of_tie]
    false_positives = 1.0 + last_of_tie - true_positives
    return (
        np.concatenate([[0.0], false_positives / false_positives[-1]]),
        np.concatenate([[0.0], true_positives / true_positives[-1]]),
    )


def auc(labels: FloatArray, scores: FloatArray) -> float:
    """Area under the ROC curve, ties worth one half; NaN when only one class is present.

    Labels [1, 0, 1, 0] with scores [.9, .9, .1, .1] give 0.5.
    """
    _need_binary(labels)
    if len(labels) == 0 or labels.min() == labels.max():
        return float("nan")
    false_positive_rate, true_positive_rate = roc_curve(labels, scores)
    return float(np.trapezoid(true_positive_rate, false_positive_rate))


def precision_at_k(
    labels: FloatArray, ranks: IntArray, queries: IntArray, *, threshold: float, k: int
) -> float:
    """Mean over queries of the share of rows ranked 1 to k whose label reaches `threshold`.

    Ranks are those of the whole list even where the rows are one group's: what matters is
    whether members saw them. A query none of whose rows reach the top k counts as 0. Fewer
    than k rows: the share is of those present. NaN without rows.

    Source: LiFT StatsUtils.computePrecisionAtK (PRECISION/threshold@k).
    """
    if len(labels) == 0:
        return float("nan")
    _, query = np.unique(queries, return_inverse=True)
    top = ranks <= k
    shown = np.bincount(query, weights=top)
    relevant = np.bincount(query, weights=top & (labels >= threshold))
    return float((relevant / np.maximum(shown, 1.0)).mean())


def _share(part: float, rest: float) -> float:
    return 0.0 if part == 0 else part / (part + rest)


def _need_probabilities(predictions: FloatArray) -> None:
    if len(predictions) and not (predictions.min() >= 0.0 and predictions.max() <= 1.0):
        raise CookbookError(
            "predictions must lie between 0 and 1, got "
            f"{predictions.min():g} to {predictions.max():g}: pass raw logits through "
            "prepare_scores(scores, raw=True) first"
        )


def _need_binary(labels: FloatArray) -> None:
    if not np.isin(labels, (0.0, 1.0)).all():
        raise CookbookError(
            f"labels must be 0 or 1, got {np.unique(labels)[:5].tolist()}: say from which "
            "grade on a pair counts as positive"
        )
