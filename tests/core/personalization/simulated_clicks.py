"""Small simulated click logs with known tastes, for the tests of this folder."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ClickLog:
    """Rows of several members: member ids (n,), features (n, d), clicks (n,), offsets (n,).

    `tastes` (members, d + 1) are the true coefficients, the intercept first.
    """

    members: list[str]
    features: npt.NDArray[np.float64]
    labels: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    tastes: npt.NDArray[np.float64]


def simulate_clicks(
    rows_by_member: list[int], features: int = 3, seed: int = 0, taste: float = 1.0
) -> ClickLog:
    """Clicks drawn from a logistic model per member with normal tastes and normal features."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(rows_by_member)), rows_by_member)
    tastes = rng.normal(0, taste, (len(rows_by_member), features + 1))
    x = rng.normal(size=(len(owner), features))
    offsets = rng.normal(0, 0.5, len(owner))
    logits = offsets + tastes[owner, 0] + (x * tastes[owner, 1:]).sum(axis=1)
    labels = (rng.random(len(owner)) < 1 / (1 + np.exp(-logits))).astype(np.float64)
    weights = rng.uniform(0.5, 2.0, len(owner))
    members = [f"member_{number:03d}" for number in owner]
    return ClickLog(members, x, labels, offsets, weights, tastes)
