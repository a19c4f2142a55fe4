"""Pair features: principal directions against an independent PCA, scaling, files."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.decomposition import PCA

from tasks.core.errors import CookbookError
from tasks.core.personalization.features import PairFeatureMap, fit_pair_features, pair_features


def embeddings(rows: int = 200, seed: int = 0) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 6)) * [5, 3, 2, 1, 0.5, 0.1] + 4


def test_embedding_columns_are_the_whitened_components_of_scikit_learn_up_to_sign() -> None:
    documents = embeddings()
    fitted = fit_pair_features(documents, np.zeros((2, 0)), [], dimensions=3)
    found = pair_features(fitted, np.zeros((200, 0)), documents)
    expected = PCA(3, whiten=True, svd_solver="full").fit_transform(documents)
    expected *= np.sqrt(200 / 199)  # scikit-learn divides by n - 1
    for j in range(3):
        sign = np.sign(found[:, j] @ expected[:, j])
        np.testing.assert_allclose(found[:, j], sign * expected[:, j], atol=1e-4)


def test_directions_point_the_way_of_their_largest_entry() -> None:
    """An eigenvector's sign is arbitrary; a flip between runs would void every saved effect."""
    fitted = fit_pair_features(embeddings(), np.zeros((2, 0)), [], dimensions=6)
    largest = np.abs(fitted.directions).argmax(axis=1)
    assert (fitted.directions[np.arange(6), largest] > 0).all()


def test_features_have_mean_zero_and_deviation_one_and_constants_are_zero() -> None:
    rng = np.random.default_rng(1)
    scores = np.column_stack([rng.normal(7, 3, 200), np.full(200, 2.5)])
    fitted = fit_pair_features(embeddings(), scores, ["relevance", "constant"], dimensions=4)
    found = pair_features(fitted, scores, embeddings())
    assert fitted.names == (
        "relevance", "constant", "embedding_0", "embedding_1", "embedding_2", "embedding_3",
    )  # fmt: skip
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=0), [1, 0, 1, 1, 1, 1], atol=1e-5)


def test_a_direction_without_variance_gives_zeros_and_no_noise() -> None:
    documents = np.hstack([embeddings(), np.ones((200, 1))])
    fitted = fit_pair_features(documents, np.zeros((2, 0)), [], dimensions=7)
    assert np.abs(pair_features(fitted, np.zeros((200, 0)), documents)[:, 6]).max() == 0


def test_a_saved_map_gives_the_same_features_and_the_same_bytes(tmp_path: Path) -> None:
    scores = np.random.default_rng(2).normal(size=(200, 2))
    fitted = fit_pair_features(embeddings(), scores, ["a", "b"], dimensions=3)
    fitted.save(tmp_path / "one")
    fitted.save(tmp_path / "two")
    loaded = PairFeatureMap.load(tmp_path / "one")
    np.testing.assert_array_equal(
        pair_features(loaded, scores, embeddings()), pair_features(fitted, scores, embeddings())
    )
    assert loaded.score_names == ("a", "b")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_other_widths_than_those_of_the_fit_are_refused() -> None:
    fitted = fit_pair_features(embeddings(), np.zeros((2, 1)), ["a"], dimensions=3)
    with pytest.raises(CookbookError, match="1 scores"):
        pair_features(fitted, np.zeros((2, 2)), embeddings(2))
    with pytest.raises(CookbookError, match="0 to 6 dimensions"):
        fit_pair_features(embeddings(), np.zeros((2, 1)), ["a"], dimensions=7)
