"""Hard negatives where model and judge disagree: more documents that a model takes for good.

The model is what retrieval itself can know, the two scores of a pair, fitted to the judge's grades.
Where it promises more than the judge grants, a query's other documents that it rates highest are
the ones worth a label.
Source: LinkedIn's engineering blog, 21 January 2026: hard negatives mined where model and judge
disagree. Which model, and how many, is not published.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tasks.core.retrieval.bm25 import Bm25Index
from tasks.core.tables import Row
from tasks.core.text import pair_id

Floats = npt.NDArray[np.float64]
_FOLDS = 2


def overestimates(labels: Sequence[Row]) -> dict[str, float]:
    """Grades by which a model of retrieval scores promises too much, at most, by query_id.

    ``labels`` have query_id, grade, bm25 and cosine. The model of a query never saw its labels.
    """
    grades = np.array([row["grade"] for row in labels], dtype=np.float64)
    queries = [row["query_id"] for row in labels]
    promised = cross_val_predict(
        _model(), _features(labels), grades, groups=queries, cv=GroupKFold(_FOLDS)
    )
    worst: dict[str, float] = {}
    for query, excess in zip(queries, promised - grades, strict=True):
        worst[query] = max(worst.get(query, -np.inf), float(excess))
    return worst


def mine_disagreements(
    labels: Sequence[Row],
    vectors: Mapping[str, npt.NDArray[np.float32]],
    doc_ids: Sequence[str],
    doc_vectors: npt.NDArray[np.float32],
    index: Bm25Index,
    *,
    count: int,
    per_query: int,
) -> list[Row]:
    """``count`` new pairs at most, ``per_query`` of each query, most overestimated query first.

    ``vectors`` are unit-length embeddings by query text.
    """
    model = fit_promises(labels)
    worst = overestimates(labels)
    queries = {row["query_id"]: row for row in labels}
    labeled = {row["pair_id"] for row in labels}

    def mined() -> Iterator[Row]:
        for query_id in sorted(worst, key=lambda name: (-worst[name], name)):
            row = queries[query_id]
            scores = index.scores(row["query"]), doc_vectors @ vectors[row["query"]]
            order = np.argsort(-promises(model, *scores), kind="stable")
            rows = (pair_row(row, doc_ids[int(place)], *scores, int(place)) for place in order)
            yield from islice((new for new in rows if new["pair_id"] not in labeled), per_query)

    return list(islice(mined(), count))


def fit_promises(labels: Sequence[Row]) -> Pipeline:
    """A model of the grade by the two retrieval scores."""
    return _model().fit(_features(labels), np.array([row["grade"] for row in labels]))


def promises(
    model: Pipeline, lexical: npt.NDArray[np.float32], cosines: npt.NDArray[np.float32]
) -> Floats:
    """The grade that retrieval promises of each document, shape (documents,)."""
    promised: Floats = model.predict(_columns(lexical, cosines))
    return promised


def pair_row(
    query: Row,
    doc_id: str,
    lexical: npt.NDArray[np.float32],
    cosines: npt.NDArray[np.float32],
    place: int,
) -> Row:
    """A query's pair with the document at this place, found by its scores."""
    return {
        "pair_id": pair_id(query["query_id"], query["member_id"] or None, doc_id),
        "query_id": query["query_id"],
        "query": query["query"],
        "member_id": query["member_id"],
        "doc_id": doc_id,
        "source": "hard_negative",
        "bm25": float(lexical[place]),
        "cosine": float(cosines[place]),
    }


def _model() -> Pipeline:
    return make_pipeline(StandardScaler(), Ridge())


def _features(rows: Sequence[Row]) -> Floats:
    return _columns(
        np.array([row["bm25"] for row in rows]), np.array([row["cosine"] for row in rows])
    )


def _columns(lexical: npt.ArrayLike, cosines: npt.ArrayLike) -> Floats:
    first, second = np.asarray(lexical, np.float64), np.asarray(cosines, np.float64)
    return np.stack([first, second, first * second], axis=1)
