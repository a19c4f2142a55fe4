"""Whether a judge is silent about some groups more than others: refusals by slice."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import fisher_exact


@dataclass(frozen=True)
class SliceSilence:
    """How many pairs of a slice got no label, and how likely so many are by chance."""

    name: str
    pairs: int
    unlabeled: int
    share: float
    p_value: float  # one-sided Fisher test against all other slices


def silence_by_slice(
    asked: Iterable[str], labeled: Container[str], slices: Mapping[str, str]
) -> list[SliceSilence]:
    """Unlabeled pairs by slice (``slices`` maps pair_id to its name), the most silent first.

    The slices stay on this machine: they are joined to the answers by pair_id after the fact.
    """
    counts: dict[str, list[int]] = {}
    for pair_id in asked:
        tally = counts.setdefault(slices.get(pair_id, ""), [0, 0])
        tally[0] += 1
        tally[1] += pair_id not in labeled
    pairs = sum(tally[0] for tally in counts.values())
    unlabeled = sum(tally[1] for tally in counts.values())
    found = [
        SliceSilence(name, n, silent, silent / n, _p_value(n, silent, pairs, unlabeled))
        for name, (n, silent) in counts.items()
    ]
    return sorted(found, key=lambda one: (-one.share, one.name))


def silence_warnings(found: Iterable[SliceSilence], *, p_below: float = 0.01) -> list[str]:
    """A sentence per slice that is unlabeled more often than chance explains."""
    return [
        f"The judge left {one.unlabeled} of {one.pairs} pairs of {one.name or 'no slice'} without "
        f"a label ({one.share:.1%}), more than elsewhere (p = {one.p_value:.2g})."
        for one in found
        if one.p_value < p_below
    ]


def _p_value(n: int, silent: int, pairs: int, unlabeled: int) -> float:
    others = pairs - n
    elsewhere = unlabeled - silent
    table = np.array([[silent, n - silent], [elsewhere, others - elsewhere]])
    return float(fisher_exact(table, alternative="greater").pvalue)
