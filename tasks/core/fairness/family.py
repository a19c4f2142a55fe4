"""Tiers measured on the same rows: their gaps, and which of them a teacher did not have.

All p-values of a family are corrected together: its metrics once, its growth once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from tasks.core.fairness.attributes import MINIMUM_CLUSTERS, Groups
from tasks.core.fairness.gaps import GapDraws, GroupMetric, correct_p_values, summarize
from tasks.core.fairness.groups import DEFAULT_METRICS, gap_draws
from tasks.core.fairness.ladder import GapGrowth, gap_growth

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """The rows, their labels and groups; `add` measures a tier on them.

    `prefix` begins the names of the family's metrics, so that gaps in clicks and gaps in
    relevance stay apart; `queries` is the list a row is ranked in; `targets` (n,) is what
    predictions should be on average, if not how often a label is positive.
    """

    labels: FloatArray
    groups: Groups
    clusters: npt.NDArray[np.generic]
    queries: npt.NDArray[np.generic]
    positive_from: float = 1.0
    prefix: str = ""
    metrics: Sequence[str] = DEFAULT_METRICS
    n_resamples: int = 500
    seed: int = 0
    minimum_clusters: int = MINIMUM_CLUSTERS
    targets: FloatArray | None = None
    draws: dict[str, list[GapDraws]] = field(default_factory=dict)

    def add(self, tier: str, scores: FloatArray) -> None:
        """Measure a tier's scores (n,), probabilities or relevance from 0 to 1."""
        found = gap_draws(
            tier,
            np.clip(scores, 0.0, 1.0),
            self.labels,
            self.groups,
            self.clusters,
            queries=self.queries,
            metrics=self.metrics,
            positive_from=self.positive_from,
            n_resamples=self.n_resamples,
            seed=self.seed,
            minimum_clusters=self.minimum_clusters,
            targets=self.targets,
        )
        self.draws[tier] = [replace(gap, name=f"{self.prefix}{gap.name}") for gap in found]

    def gaps(self) -> list[GroupMetric]:
        """Every tier's gaps with intervals and corrected p-values."""
        return correct_p_values([summarize(gap) for gaps in self.draws.values() for gap in gaps])

    def growth(self, teachers: Mapping[str, str]) -> list[GapGrowth]:
        """Every tier's gaps against its teacher's, for the tiers measured here."""
        known = {t: s for t, s in teachers.items() if {t, s} <= self.draws.keys()}
        return gap_growth(self.draws, known) if known else []
