"""What a finished run's tiers and its embedded judge say of the sealed pairs, by its store."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.profiles import EMBEDDED
from tasks.core.domain.catalog import Catalog
from tasks.core.labeling.embedded_judge import query_and_member
from tasks.core.labeling.embedded_model import EmbeddedModel
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.tables import Row, read_table
from tasks.core.training.base_models import BaseModel
from tasks.core.training.scorer import grade_probabilities, single_grades

Floats = npt.NDArray[np.float64]


def tier_grades(
    evaluated: Path, n_sealed: int, grade_count: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Grade probabilities (pairs, grades) and single grades (pairs,) of an evaluation's folder."""
    table = read_table(evaluated / "logits.parquet")
    logits = np.array(table["logits"].to_pylist(), dtype=np.float64)[:n_sealed]
    probabilities = grade_probabilities(logits, grade_count)
    cuts = json.loads((evaluated / "grade_cuts.json").read_text())["grade_cuts"]
    return probabilities, single_grades(probabilities, cuts)


def judge_grades(judge: Path, catalog: Catalog, rows: list[Row]) -> npt.NDArray[np.int64]:
    """Single grades (pairs,) by the embedded judge of a judge's folder."""
    encoder = TextEncoder.of(BaseModel(**EMBEDDED.model_dump()))
    model = EmbeddedModel.load(judge / "embedded_model.json", encoder)
    pairs = [
        (
            query_and_member(row["query"], catalog.member_text(row["member_id"])),
            catalog.judged_text(row["doc_id"]),
        )
        for row in rows
    ]
    return single_grades(model.grade_probabilities(pairs), model.grade_cuts.tolist())
