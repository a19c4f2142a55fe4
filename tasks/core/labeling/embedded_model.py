"""The embedded judge's model: what a small encoder finds similar, and how people grade that.

No LLM: it cannot read a policy. The encoder stays as it was pretrained, for fine-tuning it on
a thousand golden pairs forgets more about similarity than it learns (DECISIONS.md). A
multinomial logistic regression learns the grades from similarities of whole texts, from late
interaction (for each token of one text, the nearest of the other), and from shared words.

Source: late interaction is ColBERT's MaxSim, Khattab and Zaharia, arXiv 2004.12832.
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

from tasks.core.calibration import fit_grade_cuts
from tasks.core.domain.catalog import FIELD_MARK
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.text import words

Floats = npt.NDArray[np.float64]
Pair = tuple[str, str]
Vectors = npt.NDArray[np.float16]
SHORT_TOKENS, LONG_TOKENS = 24, 96
# What is read of a candidate's text, behind its title, where some thirty words more stand there.
WORDS_BESIDE_AN_EDIT = 25
# A text's token vectors take about 50 kB.
_REMEMBERED_TEXTS = 8_000
# Inverse strength of the L2 penalty: golden sets are small.
_REGULARIZATION = 0.1


@dataclass
class EmbeddedModel:
    """A grade distribution from the texts of a pair; parameters are plain arrays."""

    encoder: TextEncoder
    word_weights: dict[str, float]
    mean: Floats
    scale: Floats
    coefficients: Floats
    intercepts: Floats
    grade_cuts: Floats

    def __post_init__(self) -> None:
        self._tokens: OrderedDict[tuple[str, int], Vectors] = OrderedDict()

    def grade_probabilities(self, pairs: Sequence[Pair]) -> Floats:
        """Shape (pairs, grades); a pair is (query and member, document), parts joined by a mark."""
        return self.probabilities_of(self.features(pairs))

    def probabilities_of(self, features: Floats) -> Floats:
        """Shape (pairs, grades), of features of shape (pairs, 31)."""
        logits = (features - self.mean) / self.scale @ self.coefficients.T
        logits += self.intercepts
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        result: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
        return result

    def features(self, pairs: Sequence[Pair]) -> Floats:
        """Similarities, late interactions and word overlaps of each pair, shape (pairs, 31)."""
        parts = [_parts(pair) for pair in pairs]
        queries, members, titles, documents = zip(*parts, strict=True)
        query = self._vectors(queries, SHORT_TOKENS)
        member = self._vectors(members, LONG_TOKENS)
        title = self._vectors(titles, SHORT_TOKENS)
        document = self._vectors(documents, LONG_TOKENS)
        rows = zip(parts, query, member, title, document, strict=True)
        return np.array([self._row(*row) for row in rows])

    def _row(
        self,
        part: tuple[str, str, str, str],
        query: Vectors,
        member: Vectors,
        title: Vectors,
        document: Vectors,
    ) -> list[float]:
        asks = float(bool(part[1]))
        near = [_cosine(query, title), _cosine(query, document)]
        own = [asks * _cosine(member, title), asks * _cosine(member, document)]
        curved = [near[0] ** 2, near[1] ** 2, near[0] * near[1]]
        late = [*_late(query, title), *_late(query, document)]
        late += [asks * value for value in (*_late(member, title), *_late(member, document))]
        return [*near, *own, *curved, *late, *self._overlap(*part)]

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

    def _vectors(self, texts: Sequence[str], max_tokens: int) -> list[Vectors]:
        missing = [t for t in dict.fromkeys(texts) if (t, max_tokens) not in self._tokens]
        found = self.encoder.token_vectors(missing, max_tokens=max_tokens) if missing else []
        self._tokens.update({(t, max_tokens): v for t, v in zip(missing, found, strict=True)})
        result = [self._tokens[text, max_tokens] for text in texts]
        while len(self._tokens) > _REMEMBERED_TEXTS:
            self._tokens.popitem(last=False)
        return result

    def save(self, path: Path) -> None:
        value = {
            "word_weights": self.word_weights,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "coefficients": self.coefficients.tolist(),
            "intercepts": self.intercepts.tolist(),
            "grade_cuts": self.grade_cuts.tolist(),
        }
        path.write_text(json.dumps(value, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, path: Path, encoder: TextEncoder) -> "EmbeddedModel":
        value = json.loads(path.read_text(encoding="utf-8"))
        arrays = {name: np.array(value[name]) for name in value if name != "word_weights"}
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
    model = EmbeddedModel(encoder, _word_weights(documents), empty, empty, empty, empty, empty)
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
    expected = model.probabilities_of(features) @ np.arange(grade_count)
    model.grade_cuts = np.array(fit_grade_cuts(expected, np.eye(grade_count)[grades]))
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


def _cosine(first: Vectors, second: Vectors) -> float:
    """Cosine of two texts' mean vectors, marks included, as the encoder was pretrained."""
    a, b = first.astype(np.float32).mean(0), second.astype(np.float32).mean(0)
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-9))


def _late(first: Vectors, second: Vectors) -> list[float]:
    """Mean and least of each side's nearest-token cosines, marks left out."""
    a, b = _directions(first), _directions(second)
    if not len(a) or not len(b):
        return [0.0, 0.0, 0.0, 0.0]
    similar = a @ b.T
    there, back = similar.max(axis=1), similar.max(axis=0)
    return [float(there.mean()), float(there.min()), float(back.mean()), float(back.min())]


def _directions(vectors: Vectors) -> npt.NDArray[np.float32]:
    inner = vectors[1:-1].astype(np.float32)
    lengths = np.linalg.norm(inner, axis=1, keepdims=True)
    directions: npt.NDArray[np.float32] = inner / np.maximum(lengths, 1e-9)
    return directions


def _parts(pair: Pair) -> tuple[str, str, str, str]:
    query, _, member = pair[0].partition(FIELD_MARK)
    title = pair[1].partition(FIELD_MARK)[0]
    return query, member, title, pair[1]
