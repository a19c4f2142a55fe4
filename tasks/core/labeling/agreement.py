"""Agreement of judges with people, and of people with each other: quadratic weighted kappa.

Quadratic kappa needs no table of weights. With squared distance as the disagreement,

    kappa = 1 - mean((a - b)^2) / (var(a) + var(b) + (mean(a) - mean(b))^2)

because the denominator is what two raters with these marginals, drawn independently, would
disagree by. The form holds for medians that fall between two grades as well.
Source: Cohen, "Weighted kappa", Psychological Bulletin 70 (1968).
"""

import numpy as np
import numpy.typing as npt

from tasks.core.intervals import Interval, cluster_weights, from_resamples, number_clusters

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def weighted_kappa(a: npt.ArrayLike, b: npt.ArrayLike, grade_count: int) -> float:
    """Quadratic weighted kappa of two raters' grades, both of shape (pairs,).

    NaN where both raters gave one and the same grade throughout: no agreement can be told
    from chance there. ``weighted_kappa([0, 1, 2], [0, 1, 1], 3)`` is 2/3.

    Raises:
        ValueError: the shapes differ, nothing is rated, or a grade is off the scale.
    """
    first, second = _on_scale(a, grade_count), _on_scale(b, grade_count)
    if first.shape != second.shape or not first.size:
        raise ValueError(
            f"Kappa needs two equal, non-empty lists; came {first.shape}, {second.shape}."
        )
    return float(_kappa_from_moments(_moments(first, second).sum(axis=0)))


def kappa_interval(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    queries: npt.ArrayLike,
    grade_count: int,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Quadratic weighted kappa with a 95% interval, resampled by query; all of shape (pairs,).

    Pairs of one query are graded alike, so resampling pairs would make the interval too narrow.
    """
    value = weighted_kappa(a, b, grade_count)
    moments = _moments(_on_scale(a, grade_count), _on_scale(b, grade_count))
    clusters = number_clusters(queries)
    per_query = np.zeros((int(clusters.max()) + 1, moments.shape[1]))
    np.add.at(per_query, clusters, moments)
    weights = cluster_weights(len(per_query), n_resamples=n_resamples, seed=seed)
    return from_resamples(value, _kappa_from_moments(weights @ per_query), len(per_query))


def human_kappa(ratings: npt.ArrayLike) -> float | None:
    """Quadratic kappa of each rater against the median of the others, averaged over raters.

    ``ratings`` has shape (pairs, raters), NaN where a rater did not grade. This is the ceiling
    a judge can fairly be held to. None where fewer than two raters share any pair.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        return None
    kappas = [_rater_kappa(table, rater) for rater in range(table.shape[1])]
    known = [kappa for kappa in kappas if np.isfinite(kappa)]
    return float(np.mean(known)) if known else None


def confusion_matrix(human: npt.ArrayLike, judge: npt.ArrayLike, grade_count: int) -> Ints:
    """Counts of shape (grade_count, grade_count): rows the human grade, columns the judge's."""
    rows = _on_scale(human, grade_count).astype(np.int64)
    columns = _on_scale(judge, grade_count).astype(np.int64)
    cells = np.bincount(rows * grade_count + columns, minlength=grade_count**2)
    return cells.reshape(grade_count, grade_count).astype(np.int64)


def _rater_kappa(table: Floats, rater: int) -> float:
    own, others = table[:, rater], np.delete(table, rater, axis=1)
    rated = ~np.isnan(own) & ~np.isnan(others).all(axis=1)
    if not rated.any():
        return float("nan")
    median = np.nanmedian(others[rated], axis=1)
    return float(_kappa_from_moments(_moments(own[rated], median).sum(axis=0)))


def _on_scale(grades: npt.ArrayLike, grade_count: int) -> Floats:
    values = np.asarray(grades, dtype=np.float64)
    if values.size and not np.isin(values, np.arange(grade_count)).all():
        raise ValueError(f"Expected grades 0 to {grade_count - 1}; came {np.unique(values)}.")
    return values


def _moments(a: Floats, b: Floats) -> Floats:
    """What kappa needs of each pair, shape (pairs, 6); sums over pairs are sufficient."""
    return np.stack([np.ones_like(a), a, b, a * a, b * b, (a - b) ** 2], axis=1)


def _kappa_from_moments(sums: Floats) -> Floats:
    """Kappa from summed moments, shape (..., 6) to (...)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        n, a, b, aa, bb, observed = np.moveaxis(sums, -1, 0)
        mean_a, mean_b = a / n, b / n
        # E(a - b')^2 for independent draws equals E a^2 + E b^2 - 2 E a E b.
        expected = aa / n + bb / n - 2 * mean_a * mean_b
        chance_free = expected > 1e-12
        return np.where(chance_free, 1 - (observed / n) / expected, np.nan)
