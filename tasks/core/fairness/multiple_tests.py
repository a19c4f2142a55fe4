"""Corrections for asking many questions of the same data."""

from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Correction = Literal["holm", "benjamini_hochberg", "none"]


def corrected(p_values: FloatArray, *, method: Correction = "holm") -> FloatArray:
    """p-values made comparable with one threshold, in the order given.

    Holm bounds the chance of any false alarm, whatever the dependence between the tests;
    Benjamini-Hochberg bounds the expected share of false alarms among the alarms, for
    positively dependent tests, and finds more.

    Source: Holm 1979; Benjamini and Hochberg 1995. [.01, .04, .03] gives [.03, .06, .06] by
    Holm and [.03, .04, .04] by Benjamini-Hochberg.
    """
    if method == "none" or not len(p_values):
        return p_values
    n = len(p_values)
    order = np.argsort(p_values)
    rank = np.arange(1, n + 1)
    if method == "holm":
        stepped = np.maximum.accumulate(p_values[order] * (n + 1 - rank))
    else:
        stepped = np.minimum.accumulate((p_values[order] * n / rank)[::-1])[::-1]
    result = np.empty(n)
    result[order] = np.minimum(stepped, 1.0)
    return result
