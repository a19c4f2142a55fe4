"""What the machine gives to models: its owner's to say, in the environment, and in no digest."""

import os
from collections.abc import Mapping

from tasks.core.errors import CookbookError

PROCESSES, SPLIT = "COOKBOOK_PROCESSES", "COOKBOOK_SPLIT_WEIGHTS"


def processes(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes share each training, and score; 1 where nothing is said.

    Raises:
        CookbookError: what is said is no such number.
    """
    said = environment.get(PROCESSES, "").strip() or "1"
    if not said.isascii() or not said.isdigit() or int(said) < 1:
        raise CookbookError(
            f"{PROCESSES} is how many processes train and score together, 1 or more; came "
            f"{said!r}. Set it to the number of GPUs, or unset it."
        )
    return int(said)


def splits_weights(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether these processes hold a share of the weights each instead of all of them.

    Raises:
        CookbookError: it is neither 0 nor 1, or there is one process alone.
    """
    said = environment.get(SPLIT, "").strip() or "0"
    if said not in ("0", "1"):
        raise CookbookError(f"{SPLIT} is 0 or 1; came {said!r}. Set it to one of them.")
    if said == "1" and processes(environment) == 1:
        raise CookbookError(
            f"{SPLIT}=1 splits a model over several processes; {PROCESSES} gives one. Set that to "
            "the number of GPUs, or unset both."
        )
    return said == "1"
