"""Guards the embedded judge's model: what it learns, and that it answers the same to everybody."""

import numpy as np
import pytest

from tasks.core.domain.catalog import FIELD_MARK
from tasks.core.labeling.embedded_judge import query_and_member
from tasks.core.labeling.embedded_model import EmbeddedModel, _parts, fit_embedded_model
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.training.base_models import BaseModel

JOBS = ("night nurse", "line cook", "truck driver", "bank clerk")
DOCUMENTS = [f"{job} | We look for a {job} in a large town. | place: Oslo" for job in JOBS]
MEMBERS = ("", "Five years as a nurse at night", "")


def _golden():
    """Every job asked for with every document: 2 where they are the same, else 0."""
    pairs = [
        (query_and_member(job, member), document)
        for job in JOBS
        for member in MEMBERS
        for document in DOCUMENTS
    ]
    return pairs, np.array([2 if d.startswith(q.partition(FIELD_MARK)[0]) else 0 for q, d in pairs])


@pytest.fixture(scope="module")
def encoder():
    return TextEncoder.of(BaseModel("random_encoder", "tiny"))


@pytest.fixture(scope="module")
def model(encoder):
    pairs, grades = _golden()
    return fit_embedded_model(encoder, pairs, grades, 4, DOCUMENTS)


def test_probabilities_sum_to_one(model):
    found = model.grade_probabilities(_golden()[0])
    assert found.shape == (48, 4)
    assert found.sum(axis=1) == pytest.approx(1.0)


def test_what_people_graded_is_learned_for_other_words(model):
    """The right pair of a job never seen has more of grade 2 than the wrong ones."""
    asked, others = "stage carpenter", ["stage carpenter | Build sets.", *DOCUMENTS]
    found = model.grade_probabilities([(asked, document) for document in others])[:, 2]
    assert found[0] > 2 * found[1:].max()


def test_a_grade_that_nobody_gave_keeps_a_vanishing_probability(model):
    found = model.grade_probabilities(_golden()[0])
    assert 0 < found[:, [1, 3]].max() < 1e-6


def test_answers_do_not_depend_on_who_else_asks(model, encoder, tmp_path):
    """Requests arrive in any company: a fresh model, asked one by one, says the same bits."""
    pairs, _ = _golden()
    together = model.grade_probabilities(pairs)
    model.save(tmp_path / "model.json")
    fresh = EmbeddedModel.load(tmp_path / "model.json", encoder)
    alone = np.concatenate([fresh.grade_probabilities([pair]) for pair in pairs[::7]])
    assert alone == pytest.approx(together[::7], abs=1e-12)


def test_a_saved_model_says_the_same(model, encoder, tmp_path):
    model.save(tmp_path / "model.json")
    again = EmbeddedModel.load(tmp_path / "model.json", encoder)
    pairs, _ = _golden()
    assert np.array_equal(again.grade_probabilities(pairs), model.grade_probabilities(pairs))
    assert np.array_equal(again.grade_cuts, model.grade_cuts)


def test_two_models_fitted_on_the_same_grades_are_the_same_file(model, encoder, tmp_path):
    pairs, grades = _golden()
    model.save(tmp_path / "first.json")
    fit_embedded_model(encoder, pairs, grades, 4, DOCUMENTS).save(tmp_path / "second.json")
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "second.json").read_bytes()


def test_who_asks_nothing_of_a_member_has_no_member_features(model):
    """Without a member, an empty text must not count as similar to some documents."""
    plain, with_member = model.features(
        [("nurse", DOCUMENTS[0]), (query_and_member("nurse", "A night nurse"), DOCUMENTS[0])]
    )
    other = model.features([("nurse", DOCUMENTS[1])])[0]
    changed = np.flatnonzero(plain != with_member)
    assert len(changed) > 0
    assert (plain[changed] == 0).sum() >= len(changed) / 2
    assert not np.array_equal(plain, other)


def test_a_rare_word_weighs_more_than_a_common_one(model):
    assert model.word_weights["nurse"] > model.word_weights["look"]
    # log(1 + 4 / 4) of a word of all four documents, log(1 + 4 / 1) of one.
    assert model.word_weights["look"] == pytest.approx(np.log(2))
    assert model.word_weights["nurse"] == pytest.approx(np.log(5))


def test_the_member_is_told_apart_from_the_query() -> None:
    """Taken for a part of the query, a profile drowns it: kappa fell from 0.53 to 0.46."""
    left = query_and_member("nurse in Lisbon", "Registered nurse, 6 years.")
    parts = _parts((left, "Ward nurse | Lisbon clinic | onsite"))
    assert parts[:3] == ("nurse in Lisbon", "Registered nurse, 6 years.", "Ward nurse")
