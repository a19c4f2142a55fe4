"""Guards the text encoder: as it was pretrained, and the same for a text in any company."""

import numpy as np
import pytest
import torch

from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.training import tokens
from tasks.core.training.base_models import BaseModel, embedded_folder
from tasks.core.training.precision import best_device, compute_dtype

TEXTS = [
    "nurse",
    "night shifts in the intensive care unit of a large hospital",
    "",
    "chef de partie wanted",
    "c++ developer",
] * 5


@pytest.fixture(scope="module")
def encoder():
    return TextEncoder.of(BaseModel("random_encoder", "tiny"))


def test_vectors_have_length_one(encoder):
    assert np.linalg.norm(encoder.embed(TEXTS, max_tokens=16), axis=1) == pytest.approx(1.0)


def test_rows_keep_their_order_whatever_the_batches(encoder):
    together = encoder.embed(TEXTS, max_tokens=16)
    apart = encoder.embed(TEXTS, max_tokens=16, tokens_per_batch=40)
    assert together == pytest.approx(apart, abs=2e-2)
    assert np.abs(together[0] - together[1]).max() > 0.05


def test_texts_encoded_block_by_block_are_those_encoded_at_once(encoder, monkeypatch):
    whole = encoder.embed(TEXTS, max_tokens=16)
    monkeypatch.setattr(tokens, "_AT_ONCE", 4)
    np.testing.assert_array_equal(encoder.embed(TEXTS, max_tokens=16), whole)


def test_text_past_the_limit_is_not_read(encoder):
    short, long = "one two three four five six", "one two three four five six seven eight"
    vectors = encoder.embed([short, long], max_tokens=8)
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-2)


def test_token_vectors_do_not_depend_on_their_neighbors_by_a_bit(encoder):
    """A judge whose answer depends on who else asks is no judge that can be reproduced."""
    together = encoder.token_vectors(TEXTS, max_tokens=24)
    for text, vectors in zip(TEXTS[:5], together, strict=False):
        (alone,) = encoder.token_vectors([text], max_tokens=24)
        assert np.array_equal(alone, vectors)
    backwards = encoder.token_vectors(TEXTS[::-1], max_tokens=24)[::-1]
    assert all(np.array_equal(a, b) for a, b in zip(together, backwards, strict=True))


def test_token_vectors_have_one_row_a_token_and_the_mean_of_embed(encoder):
    found = encoder.token_vectors(TEXTS[:2], max_tokens=24)
    # [CLS] nurse [SEP], and padding left out.
    assert len(found[0]) == 3
    means = [vectors.astype(np.float32).mean(axis=0) for vectors in found]
    vectors = np.array([mean / np.linalg.norm(mean) for mean in means])
    assert vectors == pytest.approx(encoder.embed(TEXTS[:2], max_tokens=24), abs=2e-2)


def test_the_embedded_encoder_is_sentence_transformers_own():
    """Cosines within 0.01 of the reference: the products run in bfloat16 where that is fast."""
    from sentence_transformers import SentenceTransformer

    folder = embedded_folder()
    texts = list(dict.fromkeys(TEXTS[:5]))
    reference = SentenceTransformer(str(folder), device="cpu").encode(
        texts, normalize_embeddings=True
    )
    found = TextEncoder.of(BaseModel("embedded", "all-MiniLM-L6-v2")).embed(texts, max_tokens=64)
    tight = compute_dtype(best_device()) == torch.float32
    assert (found * reference).sum(axis=1) == pytest.approx(1.0, abs=1e-5 if tight else 5e-3)
    assert found @ found.T == pytest.approx(reference @ reference.T, abs=1e-4 if tight else 2e-2)
