"""Whether scored traffic still looks like the traffic a model learned from.

Each figure of a scored pair (relevance, grade, probability of the first action, length of the
query, who asks) is cut into bins of equal mass on training pairs, a value that many share into one
of its own; the population stability index compares the shares. A model that meets other traffic
keeps answering, only worse.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from tasks.core.domain.readers import read_json_lines
from tasks.core.errors import CookbookError
from tasks.core.fairness.multiple_tests import corrected
from tasks.core.store.versions import Model
from tasks.core.tables import Row

# A file of a registered version: the traffic that it learned from, as ``describe`` gives it.
TRAFFIC = "traffic.json"
# Rows of a file of scores that are looked at; more would tell nothing new.
MOST_ROWS = 50_000
BINS = 10
SIGNIFICANCE = 0.01
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """One figure's drift: population stability index, and chance of it without any, by Holm."""

    figure: str
    psi: float
    p_value: float
    drifted: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def traffic_figures(scored: Sequence[Row]) -> dict[str, Floats]:
    """Figures of scored rows (as ServedModel.score writes them), each of shape (rows,)."""
    found: dict[str, list[float]] = {
        "relevance": [row["relevance"] for row in scored],
        "grade": [row["single_grade"] for row in scored],
        "query length": [len(row["query"].split()) for row in scored],
        "asked by a member": [bool(row.get("member_id")) for row in scored],
    }
    if all(row["action_probabilities"] for row in scored):
        name = next(iter(scored[0]["action_probabilities"]))
        found[f"probability {name}"] = [row["action_probabilities"][name] for row in scored]
    return {name: np.array(values, dtype=np.float64) for name, values in found.items()}


def describe(scored: Sequence[Row]) -> dict[str, Any]:
    """What to compare with later: inner edges and counts of bins, by figure."""
    bins = {}
    for name, values in traffic_figures(scored).items():
        edges = _edges(values)
        bins[name] = {"edges": edges.tolist(), "counts": _counts(values, edges).tolist()}
    return {"bins": bins, "queries": _queries(scored)}


def _edges(values: Floats) -> Floats:
    """Inner edges of bins of equal mass; a value that many rows share is a bin of its own.

    It would else share one with everything up to the next edge: where all training queries have
    three words, with queries of any length above.
    """
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    shared = [edge for edge in edges if np.mean(values == edge) >= 0.5 / BINS]
    return np.unique([*edges, *np.nextafter(shared, np.inf)])


def drift(reference: Mapping[str, Any], scored: Sequence[Row], maximum_psi: float) -> list[Drift]:
    """Drift of each figure that the reference has too; alarmed where it is both large and sure.

    Large: the index is above ``maximum_psi``; below 0.1 is usually called stable, above 0.25
    another population. Sure: without drift the index is about (1/n + 1/m) times a chi-square of
    bins - 1 degrees. n and m count queries, since candidates of one query go together.

    Source: Yurdakul and Naranjo 2020, Statistical properties of the population stability index.
    """
    figures = {
        name: values
        for name, values in traffic_figures(scored).items()
        if name in reference["bins"]
    }
    noise = 1 / _queries(scored) + 1 / reference["queries"]
    indices = {name: _index(reference["bins"][name], values) for name, values in figures.items()}
    raw = [chi2.sf(psi / noise, max(1, bins - 1)) for psi, bins in indices.values()]
    p_values = corrected(np.array(raw))
    return [
        Drift(name, psi, float(p), bool(psi > maximum_psi and p < SIGNIFICANCE))
        for (name, (psi, _)), p in zip(indices.items(), p_values, strict=True)
    ]


def drift_of_file(model: Model, scores: Path, maximum_psi: float) -> list[Drift]:
    """Drift of a file that ``cookbook score`` wrote, against the version's training traffic.

    Raises:
        CookbookError: the version keeps no such traffic, or the file holds no scored pair, or
            those of another version.
    """
    if not model.file(TRAFFIC).is_file():
        raise CookbookError(
            f"Drift is told against the traffic that a version learned from; {model.version} was "
            "registered without it. Run `cookbook run` for a version that has it."
        )
    rows = [row for _, row in islice(read_json_lines(scores), MOST_ROWS)]
    if not rows or not all({"query", "single_grade"} <= row.keys() for row in rows):
        raise CookbookError(
            f"Drift is told of lines that `cookbook score` wrote; {scores} holds others or none. "
            "Score the pairs first."
        )
    others = {str(row.get("model_version")) for row in rows} - {model.version}
    if others:
        raise CookbookError(
            f"Scores are compared with what their own model learned from; {scores} was written by "
            f"{', '.join(sorted(others))}, not {model.version}. Name that version by --model, or "
            "score the pairs again."
        )
    reference = json.loads(model.file(TRAFFIC).read_text(encoding="utf-8"))
    return drift(reference, rows, maximum_psi)


def _index(bins: Mapping[str, Any], values: Floats) -> tuple[float, int]:
    """The population stability index, and the number of bins that any row fell into."""
    counts = np.array(bins["counts"], dtype=np.float64), _counts(values, np.array(bins["edges"]))
    expected, found = (_shares(one) for one in counts)
    filled = np.count_nonzero(counts[0] + counts[1])
    return float(((found - expected) * np.log(found / expected)).sum()), int(filled)


def _counts(values: Floats, edges: Floats) -> Floats:
    places = np.searchsorted(edges, values, side="right")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.float64)


def _shares(counts: Floats) -> Floats:
    # Half a row in each bin, so that an empty one has a logarithm.
    shares: Floats = (counts + 0.5) / (counts + 0.5).sum()
    return shares


def _queries(scored: Sequence[Row]) -> int:
    return len({row["query_id"] for row in scored})
