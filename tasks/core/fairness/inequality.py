"""How unequally a benefit (a group's AUC, recall, rate ...) is spread over groups."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError

FloatArray = npt.NDArray[np.float64]

# Closer than this to 0 or 1, the general formulas divide by zero and their limits hold.
_LIMIT_TOLERANCE = 1e-12


def generalized_entropy_index(benefits: FloatArray, alpha: float) -> float:
    """sum((b/m)^alpha - 1) / (n alpha (alpha - 1)) with the limits at alpha 0 and 1.

    0 when every group has the same benefit. Higher alpha weighs the best-off groups more.

    Raises: CookbookError when the mean is 0 or the benefits are not of one sign.
    Source: LiFT BenefitMap; Speicher et al. 2018. [.9, .75, .6] at alpha 2 gives .04/3.
    """
    relative = _relative(benefits)
    _need_non_negative(relative, alpha)
    with np.errstate(divide="ignore"):
        if abs(alpha - 1.0) < _LIMIT_TOLERANCE:
            # x ln x tends to 0 with x.
            held = relative[relative > 0]
            return float((held * np.log(held)).sum() / len(relative))
        if abs(alpha) < _LIMIT_TOLERANCE:
            return float(-np.log(relative).mean())
        powers = np.power(relative, alpha) - 1.0
    return float(powers.sum() / (len(relative) * alpha * (alpha - 1.0)))


def theil_t_index(benefits: FloatArray) -> float:
    """Mean of x ln x, x = |b| / mean |b|. [.9, .75, .6] gives .013423675700."""
    return generalized_entropy_index(np.abs(benefits), 1.0)


def theil_l_index(benefits: FloatArray) -> float:
    """Mean of -ln x, x = |b| / mean |b|; infinite when a group has none."""
    return generalized_entropy_index(np.abs(benefits), 0.0)


def atkinson_index(benefits: FloatArray, epsilon: float) -> float:
    """Share of the total benefit that equality would let us give up; 0 to 1.

    1 - (mean of x^(1 - epsilon))^(1 / (1 - epsilon)), and 1 - geometric mean at epsilon 1.

    Source: Atkinson 1970; LiFT BenefitMap.computeAtkinsonIndex.
    """
    relative = _relative(benefits)
    _need_non_negative(relative, epsilon)
    with np.errstate(divide="ignore"):
        if abs(1.0 - epsilon) < _LIMIT_TOLERANCE:
            return float(1.0 - np.exp(np.log(relative).mean()))
        power = 1.0 - epsilon
        return float(1.0 - np.power(np.power(relative, power).mean(), 1.0 / power))


def coefficient_of_variation(benefits: FloatArray) -> float:
    """Population standard deviation over the mean. [.9, .75, .6] gives sqrt(.015)/.75."""
    return float(_relative(benefits).std())


def inequality(name: str, benefits: FloatArray, *, parameter: float | None = None) -> float:
    """The index called `name`; `parameter` is alpha or epsilon where the index has one.

    Raises: CookbookError for a name that is no index, or a parameter missing or unneeded:
    a misspelled metric must not vanish from a report.
    """
    if name in _WITH_PARAMETER and parameter is not None:
        return _WITH_PARAMETER[name](benefits, parameter)
    if name in _PLAIN and parameter is None:
        return _PLAIN[name](benefits)
    known = sorted([*_PLAIN, *(f"{index} with a parameter" for index in _WITH_PARAMETER)])
    raise CookbookError(
        f"no inequality index is called {name!r} with parameter {parameter}: choose one of "
        f"{', '.join(known)}"
    )


_PLAIN: dict[str, Callable[[FloatArray], float]] = {
    "theil_t_index": theil_t_index,
    "theil_l_index": theil_l_index,
    "coefficient_of_variation": coefficient_of_variation,
}
_WITH_PARAMETER: dict[str, Callable[[FloatArray, float], float]] = {
    "generalized_entropy_index": generalized_entropy_index,
    "atkinson_index": atkinson_index,
}


def _relative(benefits: FloatArray) -> FloatArray:
    mean = benefits.mean() if len(benefits) else 0.0
    if not np.isfinite(benefits).all() or mean == 0:
        raise CookbookError(
            f"an inequality index needs finite benefits with a mean other than 0, got "
            f"{benefits.tolist()}: leave out groups without a measured benefit"
        )
    return np.asarray(benefits / mean, dtype=np.float64)


def _need_non_negative(relative: FloatArray, parameter: float) -> None:
    if relative.min() < 0:
        raise CookbookError(
            f"an inequality index with parameter {parameter:g} needs benefits of one sign: "
            "use a Theil index, which takes absolute values"
        )
