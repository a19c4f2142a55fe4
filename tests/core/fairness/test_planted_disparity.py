"""Guards that disparities the simulator plants are measured in their intervals, and mended.

Women's clicks are shifted by -0.3 logits; small employers lose by a score that we plant here.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

from tasks.core.clicks_filter import filter_impressions
from tasks.core.fairness.groups import group_metrics
from tasks.core.fairness.mitigation import fit_equal_opportunity, positive_distance
from tasks.core.fairness.ranking import ndcg_by_list
from tasks.core.policy import parse_policy
from tasks.core.propensities import estimate_propensities, inverse_propensity_weights
from tasks.core.simulation.clicks import GROUP_SHIFT, POSITIONS, examination
from tasks.core.simulation.simulate import simulate

POLICY = Path(__file__).parents[3] / "policy" / "job_search" / "policy.md"
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def log():
    """The click log as columns, one entry an impression, without bots and repeats."""
    world = simulate(parse_policy(POLICY), seed=11, scale=0.6)
    lists, actions = world.log.lists, world.log.actions
    every = np.arange(len(lists.query))
    columns = {
        "list": np.repeat(every, POSITIONS),
        "query": np.repeat(lists.query, POSITIONS),
        "member": np.repeat(world.queries.member[lists.query], POSITIONS),
        "job": lists.jobs.ravel(),
        "position": np.tile(np.arange(1, POSITIONS + 1), len(every)),
        "at_random": np.repeat(lists.at_random, POSITIONS),
        "clicked": actions.clicked.ravel().astype(np.int64),
        "attraction": actions.attraction.ravel(),
        "grade": world.log.grade.ravel().astype(float),
    }
    columns["woman"] = world.members.gender[columns["member"]] == 0
    columns["small"] = world.jobs.size(world.catalog)[columns["job"]] == 0
    times = np.array([(START + timedelta(seconds=int(s))).isoformat() for s in lists.second])
    kept = filter_impressions(
        {
            "member_id": columns["member"].astype(str),
            "query_id": columns["query"].astype(str),
            "doc_id": columns["job"].astype(str),
            "clicked": columns["clicked"],
            "timestamp": np.repeat(times, POSITIONS),
        },
        now=START + timedelta(days=365),
    ).keep
    assert not np.repeat(lists.bot, POSITIONS)[kept].any()
    return {name: values[kept] for name, values in columns.items()}


def _blind(log):
    """P(click) of a world that treats women and men alike."""
    shift = GROUP_SHIFT * log["woman"]
    return examination()[log["position"] - 1] * expit(logit(log["attraction"]) - shift)


def test_the_shift_of_womens_clicks_is_measured_in_its_interval(log):
    blind, woman = _blind(log), log["woman"]
    (found,) = group_metrics(
        "blind",
        blind,
        log["clicked"].astype(float),
        [{"gender": "woman" if w else "man"} for w in woman],
        log["member"],
        metrics=["calibration"],
    )
    shifted = examination()[log["position"] - 1] * log["attraction"]
    planted = (shifted - blind)[woman].mean()
    assert found.group_pair == "gender: man - woman"
    # Three standard errors: the next change of the simulator must not fail once in twenty.
    assert found.value == pytest.approx(-planted, abs=1.5 * (found.high - found.low) / 2)
    assert found.p_value < 0.01


def test_what_is_shown_at_random_exposes_nobody_more(log):
    groups = np.where(log["small"], "small", "other")
    for at_random, fair in ((True, True), (False, False)):
        rows = log["at_random"] == at_random
        (found,) = group_metrics(
            "older_ranker",
            1.0 / log["position"][rows],
            log["grade"][rows],
            [{"employer": name} for name in groups[rows]],
            log["member"][rows],
            metrics=["exposure"],
            queries=log["list"][rows],
        )
        assert (found.p_value > 0.003) == fair
        assert found.group_pair == "employer: other - small"


def test_the_mitigation_removes_a_planted_disparity_at_a_stated_cost(log):
    rng = np.random.default_rng(0)
    quality = expit(2.0 * log["grade"] / 4.0 - 1.0 + rng.normal(0, 0.8, len(log["grade"])))
    score = 0.85 * quality - 0.12 * log["small"] + 0.12
    names = np.where(log["small"], "small", "other")
    fit = log["member"] % 2 == 0
    propensities = estimate_propensities(
        log["position"], log["clicked"], log["at_random"], pairs=log["query"] * 10**6 + log["job"]
    )
    weights = inverse_propensity_weights(log["position"], propensities)
    clicked = log["clicked"] == 1
    fitted = fit_equal_opportunity(
        score[fit],
        clicked[fit],
        names[fit].tolist(),
        attribute="employer",
        weights=weights[fit],
        n_quantiles=200,
    )
    held = ~fit
    fair = fitted.apply(score[held], names[held].tolist())
    gaps, ndcg = [], []
    _, lists = np.unique(log["list"][held], return_inverse=True)
    for values in (score[held], fair):
        distance = positive_distance(
            values, clicked[held], names[held].tolist(), weights=weights[held]
        )
        gaps.append(distance["other", "small"])
        ndcg.append(np.nanmean(ndcg_by_list(lists, values, log["grade"][held], lists.max() + 1)))
    # Planted: positives 0.12 apart, squared; what is left is noise of the held-out half.
    assert gaps[0] == pytest.approx(0.12**2, rel=0.5)
    assert gaps[1] < 0.1 * gaps[0]
    # The disparity had nothing to do with the match: taking it away costs no quality.
    assert ndcg[1] >= ndcg[0] - 0.002
