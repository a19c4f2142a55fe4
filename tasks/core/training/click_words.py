"""What a candidate's words say about clicks: a linear model that reads the whole log.

A click teacher sees some thousands of rows and a few hundred clicks, which teach a transformer
little beside relevance. This model has one weight a word, so it can read every row in seconds, and
teaches students beside that teacher.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.feature_extraction.text import CountVectorizer

from tasks.core.text import words

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Point = np.ndarray[tuple[int], np.dtype[np.float64]]
# A word that fewer candidates say is known by its candidate, not by its own clicks.
LEAST_CANDIDATES = 3
MOST_ITERATIONS = 200


@dataclass(frozen=True)
class ClickWords:
    """Weights of words, (words, actions), of retrieval's order and the constant, (2, actions)."""

    vocabulary: list[str]
    by_word: Floats
    by_order: Floats

    def logits(self, said: csr_matrix, candidates: Ints, order: Floats) -> Floats:
        """Of rows, (rows, actions); ``said`` as ``words_said`` gives it, ``order`` (rows,)."""
        of_candidate = said @ self.by_word
        known: Floats = of_candidate[candidates] + _beside(order) @ self.by_order
        return known


def words_said(texts: Sequence[str]) -> tuple[list[str], csr_matrix]:
    """Words and pairs of words in a row of at least three texts, and who says which, 0 or 1.

    Where so many texts have no word in common there are none, and the order alone is learned from.
    """
    reader = CountVectorizer(
        analyzer="word",
        tokenizer=words,
        token_pattern=None,
        lowercase=False,
        ngram_range=(1, 2),
        min_df=min(LEAST_CANDIDATES, len(texts)),
        binary=True,
        dtype=np.float64,
    )
    try:
        said = csr_matrix(reader.fit_transform(texts))
    except ValueError:  # what scikit-learn says of a vocabulary that is, or becomes, empty
        return [], csr_matrix((len(texts), 0))
    return reader.get_feature_names_out().tolist(), said


def fit_click_words(
    vocabulary: list[str],
    said: csr_matrix,
    candidates: Ints,
    order: Floats,
    actions: Floats,
    weights: Floats,
    *,
    l2: float,
) -> ClickWords:
    """Logistic regressions of the actions, (rows, actions), with ``weights`` of the same shape.

    ``candidates`` (rows,) are row numbers of ``said``, ``order`` (rows,) is retrieval's. The words'
    weights are held by ``l2``, the others not. Words are summed once a candidate, not once a row,
    which makes a log of any length cheap.
    """
    fitted = [
        _fit(said, candidates, _beside(order), actions[:, column], weights[:, column], l2)
        for column in range(actions.shape[1])
    ]
    both = np.stack(fitted, axis=1)
    return ClickWords(vocabulary, both[: said.shape[1]], both[said.shape[1] :])


def top_words(
    model: ClickWords, said: csr_matrix, actions: Sequence[str], *, count: int = 20
) -> dict[str, dict[str, list[str]]]:
    """By action the words of most weight, ``more`` and ``less`` clicked, most telling first.

    A word tells as much as its weight times how often it makes a difference.
    """
    # Not the sparse mean: its rounding passes 1 for a word that all say.
    share = np.asarray(said.sum(axis=0)).ravel() / said.shape[0]
    telling = np.sqrt(share * (1.0 - share))[:, None] * model.by_word
    order = np.argsort(telling, axis=0, kind="stable")
    found = {}
    for column, action in enumerate(actions):
        less, more = order[:count, column], order[::-1][:count, column]
        found[action] = {
            "more": [model.vocabulary[place] for place in more if telling[place, column] > 0],
            "less": [model.vocabulary[place] for place in less if telling[place, column] < 0],
        }
    return found


def _fit(
    said: csr_matrix, candidates: Ints, beside: Floats, taken: Floats, weights: Floats, l2: float
) -> Floats:
    n_words = said.shape[1]
    transposed = said.T.tocsr()

    def objective(point: Point) -> tuple[float, Point]:
        by_word, rest = point[:n_words], point[n_words:]
        logits = (said @ by_word)[candidates] + beside @ rest
        loss = weights * (np.logaddexp(0.0, logits) - taken * logits)
        slope = weights * (expit(logits) - taken)
        of_candidate = np.bincount(candidates, slope, minlength=said.shape[0])
        gradient = np.concatenate([transposed @ of_candidate + l2 * by_word, beside.T @ slope])
        return float(loss.sum() + 0.5 * l2 * by_word @ by_word), gradient.ravel()

    start = np.zeros(n_words + beside.shape[1])
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"maxiter": MOST_ITERATIONS}
    )
    point: Floats = found.x
    return point


def _beside(order: Floats) -> Floats:
    return np.stack([order, np.ones(len(order))], axis=1)
