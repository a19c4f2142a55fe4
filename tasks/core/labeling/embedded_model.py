"""The embedded judge's model: what a small encoder finds similar, and how people grade that.

No LLM: it cannot read a policy. The encoder stays as it was pretrained, for fine-tuning it on
a thousand golden pairs forgets more about similarity than it learns (DECISIONS.md); a
multinomial logistic regression on similarities and shared words learns the grades.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tasks.core.domain.catalog import FIELD_MARK
from tasks.core.retrieval.bm25 import words
from tasks.core.retrieval.embeddings import TextEncoder

Floats = npt.NDArray[np.float64]
Pair = tuple[str, str]
SHORT_TOKENS, LONG_TOKENS = 24, 64
_REMEMBERED_TEXTS = 50_000
# Inverse strength of the L2 penalty; golden sets are small and the features few.
_REGULARIZATION = 1.0


@dataclass
class EmbeddedModel:
    """A grade distribution from the texts of a pair; parameters are plain arrays."""

    encoder: TextEncoder
    word_weights: dict[str, float]
    mean: Floats
    scale: Floats
    coefficients: Floats
    intercepts: Floats

    def __post_init__(self) -> None:
        self._vectors: OrderedDict[tuple[str, int], npt.NDArray[np.float32]] = OrderedDict()

    def grade_probabilities(self, pairs: Sequence[Pair]) -> Floats:
        """Shape (pairs, grades); a pair is (query and member, each on a line; document)."""
        logits = (self.features(pairs) - self.mean) / self.scale @ self.coefficients.T
        logits += self.intercepts
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        result: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
        return result

    def features(self, pairs: Sequence[Pair]) -> Floats:
        """Similarities and word overlaps of each pair, shape (pairs, 15)."""
        parts = [_parts(pair) for pair in pairs]
        queries, members, titles, documents = zip(*parts, strict=True)
        query = self._embed(queries, SHORT_TOKENS)
        member = self._embed(members, LONG_TOKENS)
        title = self._embed(titles, SHORT_TOKENS)
        document = self._embed(documents, LONG_TOKENS)
        similar = [
            (query * title).sum(1),
            (query * document).sum(1),
            (member * title).sum(1),
            (member * document).sum(1),
        ]
        asks = np.array([bool(text) for text in members], dtype=np.float64)
        similar[2:] = [values * asks for values in similar[2:]]
        overlap = np.array([self._overlap(*part) for part in parts])
        curved = [similar[0] ** 2, similar[1] ** 2, similar[0] * similar[1]]
        return np.column_stack([*similar, *curved, overlap]).astype(np.float64)

    def _overlap(self, query: str, member: str, title: str, document: str) -> list[float]:
        asked, known = words(query), set(words(member))
        in_title, in_document = set(words(title)), set(words(document))
        return [
            self._covered(asked, in_title),
            self._covered(asked, in_document),
            float(all(word in in_title for word in asked)),
            float(all(word in in_document for word in asked)),
            self._covered(sorted(in_title), set(asked)),
            self._covered(sorted(in_title), known),
            self._covered(sorted(known), in_document),
            min(len(asked), 8) / 8.0,
        ]

    def _covered(self, asked: Sequence[str], found: set[str]) -> float:
        """Share of the asked words' weight that is found; rare words weigh more."""
        rarest = max(self.word_weights.values(), default=1.0)
        weights = [self.word_weights.get(word, rarest) for word in asked]
        hits = sum(w for w, word in zip(weights, asked, strict=True) if word in found)
        return hits / max(sum(weights), 1e-9)

    def _embed(self, texts: Sequence[str], max_tokens: int) -> npt.NDArray[np.float32]:
        missing = [t for t in dict.fromkeys(texts) if (t, max_tokens) not in self._vectors]
        if missing:
            vectors = self.encoder.embed_alone(missing, max_tokens=max_tokens)
            self._vectors.update(
                {(t, max_tokens): v for t, v in zip(missing, vectors, strict=True)}
            )
        result = np.array([self._vectors[text, max_tokens] for text in texts])
        while len(self._vectors) > _REMEMBERED_TEXTS:
            self._vectors.popitem(last=False)
        return result

    def save(self, path: Path) -> None:
        value = {
            "word_weights": self.word_weights,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "coefficients": self.coefficients.tolist(),
            "intercepts": self.intercepts.tolist(),
        }
        path.write_text(json.dumps(value, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, path: Path, encoder: TextEncoder) -> "EmbeddedModel":
        value = json.loads(path.read_text(encoding="utf-8"))
        arrays = {
            name: np.array(value[name]) for name in ("mean", "scale", "coefficients", "intercepts")
        }
        return cls(encoder, value["word_weights"], **arrays)


def fit_embedded_model(
    encoder: TextEncoder,
    pairs: Sequence[Pair],
    grades: npt.NDArray[np.int64],
    grade_count: int,
    documents: Sequence[str],
) -> EmbeddedModel:
    """Fit the judge on golden pairs; ``documents`` are all documents' texts, for word weights.

    A grade that no pair has keeps a vanishing probability, so that the scale stays whole.
    """
    empty = np.zeros(0)
    model = EmbeddedModel(encoder, _word_weights(documents), empty, empty, empty, empty)
    features = model.features(pairs)
    scaler = StandardScaler().fit(features)
    fitted = LogisticRegression(C=_REGULARIZATION, max_iter=2000)
    fitted.fit(scaler.transform(features), grades)
    model.mean, model.scale = scaler.mean_, scaler.scale_
    model.coefficients = np.zeros((grade_count, features.shape[1]))
    model.intercepts = np.full(grade_count, -20.0)
    weights, biases = _per_class(fitted)
    model.coefficients[fitted.classes_] = weights
    model.intercepts[fitted.classes_] = biases
    return model


def _per_class(fitted: LogisticRegression) -> tuple[Floats, Floats]:
    """One row a class; scikit-learn stores a single row where there are two classes."""
    if len(fitted.classes_) > 2:
        return fitted.coef_, fitted.intercept_
    halves = np.array([-0.5, 0.5])
    return halves[:, None] * fitted.coef_, halves * fitted.intercept_


def _word_weights(documents: Sequence[str]) -> dict[str, float]:
    """Inverse document frequency: log(1 + documents / documents with the word)."""
    counts: dict[str, int] = {}
    for text in documents:
        for word in set(words(text)):
            counts[word] = counts.get(word, 0) + 1
    return {word: float(np.log1p(len(documents) / n)) for word, n in sorted(counts.items())}


def _parts(pair: Pair) -> tuple[str, str, str, str]:
    query, _, member = pair[0].partition("\n")
    title = pair[1].partition(FIELD_MARK)[0]
    return query, member, title, pair[1]
