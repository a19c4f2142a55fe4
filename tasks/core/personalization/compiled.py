"""Ahead-of-need compilation of the numerical kernels, kept on disk between runs."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile `function` to machine code on first use and cache the result beside its source.

    The interpreter lock is released while it runs, so shards on threads run side by side.
    A cached kernel notices changes in its own file only, so kernels that call each other live in
    one file, or the calling file holds the called one's digest, which a test compares. Sums may be
    reordered, which lets them use vector instructions; NaN and infinity keep their meaning, and
    division by zero gives them.
    """
    decorate = numba.njit(
        cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"}
    )
    return cast(Function, decorate(function))
