"""Golden data: splits, candidates, raters."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tasks.core.simulation.golden import CANDIDATES, RATER_SHIFT, rate, split_counts
from tasks.core.simulation.grading import Grades
from tasks.core.simulation.members import AGE_BANDS
from tasks.core.simulation.queries import load_templates
from tasks.core.simulation.world import World
from tasks.core.text import normalize_query


def test_shipped_size_is_split_140_60_200() -> None:
    assert split_counts(400) == [140, 60, 200]


def test_no_two_queries_are_the_same_once_normalized(world: World) -> None:
    """Golden and traffic alike, so no gate or sealed query can leak into training."""
    texts = [normalize_query(text) for text in world.queries.text]
    assert len(texts) == len(set(texts))


def test_held_out_occupations_appear_in_gate_and_sealed_queries_only(world: World) -> None:
    split = np.array(
        world.golden.split + ["traffic"] * (world.queries.count - len(world.golden.split))
    )
    held_out = np.isin(world.queries.occupation, world.held_out)
    assert set(split[held_out]) == {"gate", "sealed"}
    tune_pairs = np.isin(world.golden.query, np.flatnonzero(split == "tune"))
    for jobs in (world.golden.job[tune_pairs], world.log.lists.jobs.reshape(-1)):
        assert not np.isin(world.jobs.occupation[jobs], world.held_out).any()


def test_held_out_templates_appear_in_gate_and_sealed_queries_only(world: World) -> None:
    held_out = np.array([template.held_out for template in load_templates()])
    used = held_out[world.queries.template]
    splits = {world.golden.split[row] for row in np.flatnonzero(used)}
    assert splits == {"gate", "sealed"}


def test_each_query_has_twenty_different_candidates(world: World) -> None:
    tables = world.golden.job.reshape(-1, CANDIDATES)
    assert all(len(set(row)) == CANDIDATES for row in tables.tolist())


def test_raters_agree_about_as_much_as_people_do(world: World) -> None:
    ratings = world.golden.ratings
    kappa = cohen_kappa_score(ratings.rater_1, ratings.rater_2, weights="quadratic")
    assert 0.75 < kappa < 0.85
    adjudicated = cohen_kappa_score(ratings.grade, world.golden.truth.grade, weights="quadratic")
    assert adjudicated > kappa + 0.08


@pytest.mark.parametrize(("mean", "share"), [(2.0, 0.702), (2.45, 0.518)])
def test_close_calls_are_the_ones_raters_miss(mean: float, share: float) -> None:
    """With noise 0.48 a rater is right with P(-0.5 <= N(mean - 2, 0.48) < 0.5)."""
    pairs = 20_000
    truth = Grades(np.full(pairs, 2), np.full(pairs, mean), {})
    young = np.zeros(pairs, dtype=np.int64)
    ratings = rate(np.random.default_rng(0), truth, young, top=4)
    right = np.mean(ratings.rater_1 == 2)
    assert right == pytest.approx(share, abs=0.02)
    assert np.mean(ratings.grade == 2) > right


def test_planted_rater_shift_is_recovered_from_the_grades() -> None:
    pairs = 40_000
    truth = Grades(np.full(pairs, 2), np.full(pairs, 2.0), {})
    band = np.arange(pairs) % len(AGE_BANDS)
    ratings = rate(np.random.default_rng(0), truth, band, top=4)
    older = band == AGE_BANDS.index("50_plus")
    gap = ratings.rater_1[older].mean() - ratings.rater_1[~older].mean()
    assert gap == pytest.approx(RATER_SHIFT, abs=0.03)
