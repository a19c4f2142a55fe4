"""Golden pairs told twice: the member's text with one thing changed, everything else the same."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.domain.catalog import Catalog
from tasks.core.fairness.gaps import GapDraws, correct_p_values, summarize
from tasks.core.fairness.ladder import gap_growth
from tasks.core.fairness.twins import Twin, twin_draws, twins, unseen_twins
from tasks.core.inputs import InputTemplate, PairText, render_pair
from tasks.core.tables import Row

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TwinPairs:
    """Pairs of members with a text, one a query, and the twins of each pair's member."""

    rows: list[Row]
    twins: list[Twin]
    catalog: Catalog

    @classmethod
    def draw(cls, rows: Sequence[Row], catalog: Catalog, n_pairs: int, *, seed: int) -> "TwinPairs":
        """About `n_pairs` pairs drawn by seed, a query each; none where no member has a text."""
        told = [row for row in rows if catalog.member_text(row["member_id"])]
        order = np.random.default_rng(seed).permutation(len(told))
        by_query = {told[place]["query_id"]: told[place] for place in order}
        chosen = list(by_query.values())[:n_pairs]
        found = [
            (row, twin) for row in chosen for twin in twins(catalog.member_text(row["member_id"]))
        ]
        return cls([row for row, _ in found], [twin for _, twin in found], catalog)

    def take(self, kept: npt.NDArray[np.bool_]) -> "TwinPairs":
        """The twins where `kept` (n,) is true."""
        places = np.flatnonzero(kept).tolist()
        rows, twins = [self.rows[i] for i in places], [self.twins[i] for i in places]
        return TwinPairs(rows, twins, self.catalog)

    def versions(self) -> list[tuple[Row, str]]:
        """Row and member's text: all first versions, then all second ones (2 n)."""
        texts = [twin.first for twin in self.twins] + [twin.second for twin in self.twins]
        return list(zip(self.rows * 2, texts, strict=True))

    def texts(self, template: InputTemplate) -> list[PairText]:
        """All versions, as a scorer reads them."""
        return [
            render_pair(template, row["query"], text, self.catalog.documents[row["doc_id"]])
            for row, text in self.versions()
        ]

    def measured(self, tier: str, scores: FloatArray, *, n_resamples: int) -> "TwinGaps":
        """A tier's gaps between twins, from its scores (2 n,) of `texts`."""
        first, second = np.split(scores, 2)
        contrasts = [twin.contrast for twin in self.twins]
        clusters = np.array([row["query_id"] for row in self.rows])
        signed, sizes = (
            twin_draws(
                tier,
                contrasts,
                first,
                second,
                clusters,
                absolute=absolute,
                n_resamples=n_resamples,
            )
            for absolute in (False, True)
        )
        return TwinGaps(signed, sizes, unseen_twins(first, second))


@dataclass(frozen=True)
class TwinGaps:
    """Signed gaps by contrast, their sizes, and the share of twins with the very same score."""

    signed: list[GapDraws]
    sizes: list[GapDraws]
    unseen: float


def twin_report(
    pairs: TwinPairs, found: Mapping[str, TwinGaps], *, teachers: Mapping[str, str]
) -> dict[str, Any]:
    """The report's part: gaps with intervals, which of them grew from a teacher, and `unseen`.

    `teachers` maps tier to teacher; those that were not measured are left out.

    p-values of signed gaps are corrected together; sizes have none that means anything.
    """
    signed = correct_p_values([summarize(gap) for one in found.values() for gap in one.signed])
    sizes = [summarize(gap) for one in found.values() for gap in one.sizes]
    pupils = {tier: one for tier, one in teachers.items() if {tier, one} <= found.keys()}
    growth = gap_growth({tier: one.sizes for tier, one in found.items()}, pupils)
    return {
        "pairs": len({row["query_id"] for row in pairs.rows}),
        "metrics": [asdict(one) for one in signed]
        + [asdict(one) | {"p_value": None} for one in sizes],
        "growth": [asdict(one) | {"wider": one.wider} for one in growth],
        "unseen": {tier: one.unseen for tier, one in found.items()},
    }
