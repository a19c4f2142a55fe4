"""What a member's effect sees of a pair: the student's scores and a short document embedding."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file

from tasks.core.errors import CookbookError

Array = npt.NDArray[np.float64]
DOCUMENTS_AT_MOST = 100_000  # more do not move the leading directions, only the time


@dataclass(frozen=True)
class PairFeatureMap:
    """Fitted scaling of s scores and projection of embeddings (k,) to r directions.

    score_mean, score_scale (s,); embedding_mean (k,); directions (r, k), each divided by the
    documents' deviation along it.
    """

    score_names: tuple[str, ...]
    score_mean: Array
    score_scale: Array
    embedding_mean: Array
    directions: Array

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the feature columns, the scores first."""
        return (*self.score_names, *(f"embedding_{j}" for j in range(len(self.directions))))

    def save(self, path: Path) -> None:
        """Write as safetensors; equal maps give equal bytes."""
        arrays = {
            "score_mean": self.score_mean,
            "score_scale": self.score_scale,
            "embedding_mean": self.embedding_mean,
            "directions": self.directions,
        }
        save_file(arrays, path, {"score_names": json.dumps(self.score_names)})

    @classmethod
    def load(cls, path: Path) -> "PairFeatureMap":
        """Read a saved map. Raises CookbookError if there is none."""
        if not path.is_file():
            raise CookbookError(f"Expected a pair feature map at {path}, found no such file.")
        with safe_open(path, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            names = json.loads(file.metadata()["score_names"])
        return cls(score_names=tuple(names), **arrays)


def fit_pair_features(
    document_embeddings: npt.ArrayLike,
    scores: npt.ArrayLike,
    score_names: Sequence[str],
    *,
    dimensions: int = 16,
    seed: int = 0,
) -> PairFeatureMap:
    """Fit scaling on training pairs' scores (n, s) and principal directions on documents (m, k).

    Directions are ordered by variance; each points the way of its largest entry, so the same
    documents give the same features. Of more than 100,000 documents a seeded sample is used.
    Raises CookbookError if there are fewer embedding columns than `dimensions`.
    Source: principal component analysis, Hotelling (1933).
    """
    documents = np.asarray(document_embeddings, np.float64)
    values = np.asarray(scores, np.float64)
    if not 0 <= dimensions <= documents.shape[1]:
        raise CookbookError(
            f"Expected 0 to {documents.shape[1]} dimensions of these embeddings, got {dimensions}; "
            "lower the number."
        )
    if len(documents) > DOCUMENTS_AT_MOST:
        chosen = np.random.default_rng(seed).choice(len(documents), DOCUMENTS_AT_MOST, False)
        documents = documents[np.sort(chosen)]
    mean = documents.mean(axis=0)
    deviation = values.std(axis=0)
    return PairFeatureMap(
        tuple(score_names),
        values.mean(axis=0),
        np.where(deviation > 0, deviation, 1.0),
        mean,
        _directions(documents - mean, dimensions),
    )


def _directions(centered: Array, dimensions: int) -> Array:
    """Leading principal directions (r, k) over their deviation; zero where there is no variance."""
    variances, vectors = np.linalg.eigh(centered.T @ centered / max(len(centered), 1))
    leading = vectors[:, ::-1][:, :dimensions].T
    largest = np.abs(leading).argmax(axis=1)
    signs = np.sign(leading[np.arange(len(leading)), largest])
    deviations = np.sqrt(np.maximum(variances[::-1][:dimensions], 0))
    there = deviations > 1e-6 * max(deviations.max(initial=0.0), 1e-300)
    scale = np.divide(signs, deviations, out=np.zeros(len(leading)), where=there)
    return np.ascontiguousarray(leading * scale[:, None])


def pair_features(
    feature_map: PairFeatureMap, scores: npt.ArrayLike, document_embeddings: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """Features (n, s + r) of pairs from their scores (n, s) and document embeddings (n, k).

    Scores have mean 0 and deviation 1 over the pairs of the fit, embedding columns over its
    documents. Raises CookbookError on other widths than those of the fit.
    """
    values = np.asarray(scores, np.float64)
    embeddings = np.asarray(document_embeddings, np.float64)
    expected = (len(feature_map.score_names), len(feature_map.embedding_mean))
    if (values.shape[1], embeddings.shape[1]) != expected or len(values) != len(embeddings):
        raise CookbookError(
            f"Expected as many rows of {expected[0]} scores as of {expected[1]} embedding columns, "
            f"got {values.shape} and {embeddings.shape}; use the model the map was fitted with."
        )
    scaled = (values - feature_map.score_mean) / feature_map.score_scale
    projected = (embeddings - feature_map.embedding_mean) @ feature_map.directions.T
    return np.hstack([scaled, projected]).astype(np.float32)
