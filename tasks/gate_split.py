"""What a scorer is worth on the gate split, as it serves."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.domain.catalog import Catalog
from tasks.core.ranking import QueryScores, ndcg_at_10
from tasks.core.tables import Row
from tasks.core.training.scorer import PairScorer, grade_probabilities, relevance
from tasks.exchange import Domain

GATE = "gate.json"


@dataclass(frozen=True)
class OnGate:
    """What a scorer says of gate rows: ``relevance`` (rows,) is what it ranks by when it serves.

    ``plain`` (rows, grades) are uncalibrated probabilities, on whose scale grade cuts were found.
    """

    plain: npt.NDArray[np.float64]
    relevance: npt.NDArray[np.float64]

    def ndcg(self, rows: list[Row]) -> QueryScores:
        return ndcg_at_10(
            [row["query_id"] for row in rows],
            [row["doc_id"] for row in rows],
            [row["grade"] for row in rows],
            self.relevance,
            [row["member_id"] or "" for row in rows],
        )


def on_gate(domain: Domain, scorer: Path, rows: list[Row]) -> OnGate:
    """The saved scorer in the folder ``scorer``, calibrated as its card says."""
    loaded = PairScorer.load(scorer, for_scoring=True)
    catalog = Catalog.load(domain.catalog.folder)
    logits = loaded.logits(catalog.pairs(loaded.template, rows))
    grades, temperature = loaded.outputs.grade_count, loaded.calibration.get("temperature", 1.0)
    served = grade_probabilities(logits, grades, temperature=temperature)
    return OnGate(grade_probabilities(logits, grades), relevance(served))


def by_query(scores: QueryScores) -> dict[str, float]:
    """NDCG@10 by the query's id."""
    return dict(zip(scores.query_ids, map(float, scores.values), strict=True))
