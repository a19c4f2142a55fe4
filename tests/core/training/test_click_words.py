"""A linear click model of words, next to scikit-learn's."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from tasks.core.training.click_words import ClickWords, fit_click_words, top_words, words_said

TEXTS = ["remote nurse", "remote pilot", "office nurse", "office pilot", "remote baker"] * 8


def log_of(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Candidates, retrieval's order, clicks that love remote work, and weights."""
    generator = np.random.default_rng(0)
    candidates = generator.integers(0, len(TEXTS), rows)
    order = generator.random(rows)
    remote = np.array([text.startswith("remote") for text in TEXTS])[candidates]
    clicked = (generator.random(rows) < expit(2.0 * remote + order - 2.0)).astype(np.float64)
    return candidates, order, clicked[:, None], generator.uniform(1.0, 5.0, (rows, 1))


def fitted(rows: int, *, l2: float) -> ClickWords:
    candidates, order, clicked, weights = log_of(rows)
    return fit_click_words(*words_said(TEXTS), candidates, order, clicked, weights, l2=l2)


def test_words_are_those_that_three_texts_say_alone_and_in_a_row() -> None:
    vocabulary, said = words_said(["red hat", "red hat", "red hat", "blue hat", "Red shoe"])
    assert vocabulary == ["hat", "red", "red hat"]
    assert said.toarray().tolist() == [[1, 1, 1]] * 3 + [[1, 0, 0], [0, 1, 0]]


def test_weights_are_those_of_scikit_learn_on_a_row_for_each_impression() -> None:
    """scikit-learn holds every weight back but the constant: order is given room by its scale."""
    candidates, order, clicked, weights = log_of(600)
    vocabulary, said = words_said(TEXTS)
    model = fit_click_words(vocabulary, said, candidates, order, clicked, weights, l2=2.0)
    room = 1e4
    dense = np.column_stack([said.toarray()[candidates], room * order])
    peer = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000)
    peer.fit(dense, clicked[:, 0], sample_weight=weights[:, 0])
    np.testing.assert_allclose(model.by_word[:, 0], peer.coef_[0, :-1], atol=2e-3)
    np.testing.assert_allclose(model.by_order[0, 0], room * peer.coef_[0, -1], atol=2e-2)
    np.testing.assert_allclose(
        model.logits(said, candidates, order)[:, 0], peer.decision_function(dense), atol=1e-2
    )


def test_the_word_that_decides_is_named_and_heavy_ridge_leaves_words_nothing() -> None:
    model = fitted(2000, l2=1.0)
    _, said = words_said(TEXTS)
    found = top_words(model, said, ["clicked"], count=1)["clicked"]
    assert found == {"more": ["remote"], "less": ["office"]}
    assert np.abs(fitted(2000, l2=1e7).by_word).max() < 1e-3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("texts", [["red hat", "blue shoe", "long scarf", "coat"], ["!", "?", "."]])
def test_without_words_in_common_retrievals_order_alone_is_learned(texts: list[str]) -> None:
    vocabulary, said = words_said(texts)
    assert (vocabulary, said.shape) == ([], (len(texts), 0))
    candidates, order = np.arange(40) % len(texts), np.linspace(-1, 1, 40)
    clicked = (order[:, None] + np.sin(np.arange(40))[:, None] > 0).astype(float)
    found = fit_click_words([], said, candidates, order, clicked, np.ones((40, 1)), l2=1.0)
    logits = found.logits(said, candidates, order)[:, 0]
    assert np.all(np.diff(logits) > 0)


def test_a_word_that_all_say_tells_nothing() -> None:
    vocabulary, said = words_said([text + " now" for text in TEXTS[:9]])
    model = ClickWords(vocabulary, np.ones((len(vocabulary), 1)), np.zeros((2, 1)))
    found = top_words(model, said, ["clicked"], count=len(vocabulary))["clicked"]
    assert found["less"] == []
    assert sorted(found["more"]) == sorted(word for word in vocabulary if word != "now")
