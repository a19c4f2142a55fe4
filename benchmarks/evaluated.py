"""What a finished run's tier said of the sealed pairs, read out of its store."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.tables import read_table
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
