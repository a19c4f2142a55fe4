"""Guards the yardstick: every tier by what it was taught, every difference paired."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from tasks.core import evaluation
from tasks.core.calibration_figures import calibration_figures
from tasks.core.evaluation import (
    Scored,
    TierLogits,
    Yardstick,
    click_figures,
    golden_figures,
    kept_figures,
    kept_of_rarer_actions,
    paired_gain,
)
from tasks.core.intervals import Interval
from tasks.core.store.files import write_json
from tasks.core.training.scorer import Outputs, grade_probabilities, relevance

OUTPUTS = Outputs(5, ("clicked", "applied"))


def _graded(query_id, doc_id, grade, member_id=""):
    return {"query_id": query_id, "member_id": member_id, "doc_id": doc_id, "grade": grade}


def _yardstick(seed=0, *, n_queries=40, n_members=60):
    rng = np.random.default_rng(seed)
    golden = [
        _graded(f"q{q}", f"d{d}", int(rng.integers(0, 5)))
        for q in range(n_queries)
        for d in range(12)
    ]
    shown = [
        {
            "member_id": f"m{m}",
            "clicked": int(rng.random() < 0.3),
            "applied": int(rng.random() < 0.1),
            "weight": float(rng.uniform(1, 5)),
        }
        for m in range(n_members)
        for _ in range(10)
    ]
    return Yardstick.of(golden, shown, ("clicked", "applied"), 200)


def test_every_interval_of_clicks_has_the_resamples_that_were_asked_for(monkeypatch):
    asked = []

    def resampled(statistic, clusters, *, n_resamples):
        asked.append(n_resamples)
        return Interval(statistic(np.ones(len(clusters))), 0.0, 1.0, 1)

    monkeypatch.setattr(evaluation, "bootstrap_statistic", resampled)
    yardstick = _yardstick()
    scored = _tier(yardstick, 0).scored()
    yardstick.auc("clicked", scored.on_clicks["clicked"])
    kept_figures(yardstick, scored, scored, scored)
    paired_gain(yardstick, scored, scored)
    assert asked == [200] * 3


def _tier(yardstick, seed, *, grades=True, actions=True, skill=1.0, calibration=None):
    """Noise, plus ``skill`` times the truth: logits that know something of grades and clicks."""
    rng = np.random.default_rng(seed)
    golden = rng.normal(size=(len(yardstick.grades), 7))
    golden[np.arange(len(golden)), yardstick.grades] += 2 * skill
    golden[:, 5] += skill * yardstick.grades
    shown = rng.normal(size=(len(yardstick.weights), 7))
    shown[:, 4] += skill * yardstick.actions["clicked"]
    shown[:, 5] += skill * yardstick.actions["clicked"]
    return TierLogits(
        golden.astype(np.float32),
        shown.astype(np.float32),
        OUTPUTS,
        knows_grades=grades,
        knows_actions=actions,
        calibration=calibration or {},
    )


def test_a_teacher_keeps_all_of_itself():
    yardstick = _yardstick()
    teacher = _tier(yardstick, 1).scored()
    for figure in kept_figures(yardstick, teacher, teacher, teacher).values():
        assert (figure["value"], figure["low"], figure["high"]) == (1.0, 1.0, 1.0)


def test_kept_is_the_ratio_of_the_two_means():
    yardstick = _yardstick()
    student, teacher = (_tier(yardstick, s, skill=k).scored() for s, k in ((1, 0.3), (2, 1.0)))
    kept = kept_figures(yardstick, student, teacher, teacher)
    means = [yardstick.ndcg(one.on_golden).mean for one in (student, teacher)]
    assert kept["ndcg_at_10"]["value"] == pytest.approx(means[0] / means[1])
    clicked = yardstick.actions["clicked"]
    areas = [roc_auc_score(clicked, one.on_clicks["clicked"]) for one in (student, teacher)]
    assert kept["click_auc"]["value"] == pytest.approx(areas[0] / areas[1])
    assert kept["click_auc"]["n"] == 60


def test_the_share_kept_of_a_rarer_action_is_the_ratio_of_its_own_areas():
    yardstick = _yardstick()
    student, teacher = (_tier(yardstick, s, skill=k).scored() for s, k in ((1, 0.3), (2, 1.0)))
    kept = kept_of_rarer_actions(yardstick, student, teacher)
    assert list(kept) == ["applied"]
    applied = yardstick.actions["applied"]
    areas = [roc_auc_score(applied, one.on_clicks["applied"]) for one in (student, teacher)]
    assert kept["applied"]["value"] == pytest.approx(areas[0] / areas[1])
    assert kept["applied"]["low"] < kept["applied"]["value"] < kept["applied"]["high"]
    itself = kept_of_rarer_actions(yardstick, teacher, teacher)["applied"]
    assert (itself["value"], itself["low"], itself["high"]) == (1.0, 1.0, 1.0)
    assert kept_of_rarer_actions(yardstick, student, None) == {"applied": None}
    yardstick.actions["applied"][:] = 0
    assert kept_of_rarer_actions(yardstick, student, teacher) == {"applied": None}


def test_chance_correction_takes_a_random_student_to_zero():
    """A random order has an NDCG of 0.7 here: uncorrected, it seems to keep most."""
    yardstick = _yardstick(n_queries=400)
    teacher = _tier(yardstick, 1, skill=2.0).scored()
    random = _tier(yardstick, 2, skill=0.0).scored()
    kept = kept_figures(yardstick, random, teacher, None)
    assert kept["ndcg_at_10"]["value"] > 0.5
    assert kept["ndcg_chance_corrected"]["low"] < 0 < kept["ndcg_chance_corrected"]["high"]


@pytest.mark.parametrize("per_query", [1, 5])
def test_where_chance_is_perfect_too_no_share_above_it_is_kept(per_query, tmp_path):
    """One graded document a query, or equal grades in each: there is no order to be wrong about."""
    golden = [_graded(f"q{q}", f"d{d}", 1 + q % 3) for q in range(30) for d in range(per_query)]
    scored = Scored(np.random.default_rng(0).random(len(golden)))
    kept = kept_figures(Yardstick.of(golden, [], (), 200), scored, scored, None)
    assert kept["ndcg_chance_corrected"] is None
    assert kept["ndcg_at_10"]["value"] == 1.0
    write_json(tmp_path / "ledger.json", kept)


def test_without_a_click_teacher_nothing_is_kept_of_it():
    yardstick = _yardstick()
    teacher = _tier(yardstick, 1).scored()
    assert kept_figures(yardstick, teacher, teacher, None)["click_auc"] is None


def test_a_policy_only_student_ranks_clicks_by_relevance():
    yardstick = _yardstick()
    tier = _tier(yardstick, 1, actions=False)
    expected = relevance(grade_probabilities(tier.shown, 5))
    assert np.array_equal(tier.scored().on_clicks["clicked"], expected)
    assert np.array_equal(tier.scored().on_clicks["applied"], expected)


def test_a_click_only_student_ranks_golden_pairs_by_its_first_action():
    tier = _tier(_yardstick(), 1, grades=False)
    assert np.array_equal(tier.scored().on_golden, tier.golden[:, 5])


def test_a_student_of_both_uses_the_output_of_each_goal():
    tier = _tier(_yardstick(), 1)
    assert np.array_equal(tier.scored().on_clicks["applied"], tier.shown[:, 6])
    assert np.array_equal(tier.scored().on_golden, relevance(grade_probabilities(tier.golden, 5)))


def test_kappa_is_of_the_expected_grade_rounded_half_up_or_cut():
    yardstick = _yardstick()
    tier = _tier(yardstick, 1)
    found = golden_figures(yardstick, tier)
    expected = softmax(tier.golden[:, :5].astype(float), axis=1) @ np.arange(5)
    rounded = np.floor(expected + 0.5).astype(int)
    reference = cohen_kappa_score(yardstick.grades, rounded, weights="quadratic")
    assert found["kappa"] == pytest.approx(reference)
    cut = golden_figures(yardstick, replace(tier, grade_cuts=[1.0, 1.5, 2.0, 3.0]))
    grades = np.digitize(expected, [1.0, 1.5, 2.0, 3.0])
    reference = cohen_kappa_score(yardstick.grades, grades, weights="quadratic")
    assert cut["kappa"] == pytest.approx(reference)
    assert found["n_queries"] == 40
    assert found["low"] < found["ndcg_at_10"] < found["high"]


def test_two_members_lists_of_one_query_are_two_lists_and_one_cluster():
    """Annie's probabilities are all a bit higher; each member's own order is perfect."""
    golden = [
        _graded(f"q{q}", f"d{d}", 4 - d if member == "alice" else d, member)
        for q in range(9)
        for member in ("alice", "annie")
        for d in range(5)
    ]
    yardstick = Yardstick.of(golden, [], (), 100)
    logits = np.zeros((len(golden), 7), np.float32)
    logits[:, 4] = [row["grade"] + 5 * (row["member_id"] == "annie") for row in golden]
    tier = TierLogits(logits, logits[:0], OUTPUTS, True, False, {})
    found = golden_figures(yardstick, tier)
    assert (found["ndcg_at_10"], found["mrr"], found["precision_at_10"]) == (1.0, 1.0, 0.3)
    assert (found["n_queries"], found["queries_left_out"]) == (9, 0)
    alone = Yardstick.of([row for row in golden if row["member_id"] == "alice"], [], (), 100)
    assert yardstick.chance().values == pytest.approx(alone.chance().values)


def test_a_scorer_that_was_taught_no_grades_has_no_kappa():
    assert golden_figures(_yardstick(), _tier(_yardstick(), 1, grades=False))["kappa"] is None


def test_click_areas_are_by_action_and_by_member():
    yardstick = _yardstick()
    tier = _tier(yardstick, 1)
    figures = click_figures(yardstick, tier.scored())
    assert figures["applied"]["value"] == pytest.approx(
        roc_auc_score(yardstick.actions["applied"], tier.shown[:, 6])
    )
    assert figures["clicked"]["n"] == 60


def test_no_click_at_all_gives_no_figure_rather_than_a_guess():
    yardstick = _yardstick()
    yardstick.actions["clicked"][:] = 0
    assert click_figures(yardstick, _tier(yardstick, 1).scored()) is None


def test_an_action_that_nobody_took_is_null_beside_the_others():
    yardstick = _yardstick()
    yardstick.actions["applied"][:] = 0
    figures = click_figures(yardstick, _tier(yardstick, 1).scored())
    assert figures["applied"] is None
    assert figures["clicked"]["value"] > 0.5


def test_few_clicks_that_a_resample_ranks_last_cost_a_draw_and_not_the_run():
    """The click teacher's area is then 0, of which there is no share."""
    shown = [
        {"member_id": f"m{m}", "clicked": int(m < 2 and r == 0), "weight": 1.0}
        for m in range(12)
        for r in range(4)
    ]
    golden = [_graded("q", f"d{d}", d) for d in range(3)]
    yardstick = Yardstick.of(golden, shown, ("clicked",), 200)
    last, first = (np.array([row["clicked"] * sign for row in shown], float) for sign in (-1, 1))
    mixed = np.array([row["clicked"] * (1 if row["member_id"] == "m0" else -1) for row in shown])
    ranked = {"last": last, "first": first, "mixed": mixed.astype(float)}
    tiers = {name: Scored(np.arange(3.0), {"clicked": by}) for name, by in ranked.items()}
    kept = kept_figures(yardstick, tiers["first"], tiers["first"], tiers["mixed"])["click_auc"]
    assert kept["value"] == pytest.approx(2.0)
    assert kept["low"] >= 1.0
    of_none = kept_figures(yardstick, tiers["first"], tiers["first"], tiers["last"])
    assert of_none["click_auc"] is None


def test_a_domain_without_impressions_is_measured_on_grades_alone():
    golden = [_graded("q", d, g) for d, g in (("a", 1), ("b", 0))]
    yardstick = Yardstick.of(golden, [], (), 100)
    assert not yardstick.has_clicks
    assert yardstick.ndcg(np.array([1.0, 0.0])).mean == 1.0


def test_a_gain_over_itself_is_zero_without_width():
    yardstick = _yardstick()
    tier = _tier(yardstick, 1).scored()
    for figure in paired_gain(yardstick, tier, tier).values():
        assert (figure["value"], figure["low"], figure["high"]) == (0.0, 0.0, 0.0)


def test_a_gain_changes_its_sign_with_its_sides():
    yardstick = _yardstick()
    ours, theirs = (_tier(yardstick, s, skill=k).scored() for s, k in ((1, 1.0), (2, 0.2)))
    there, back = paired_gain(yardstick, ours, theirs), paired_gain(yardstick, theirs, ours)
    for name, figure in there.items():
        assert figure["value"] > 0
        assert back[name]["value"] == pytest.approx(-figure["value"])


def test_calibration_is_told_before_and_after():
    yardstick = _yardstick(n_queries=200)
    grid = np.linspace(-8.0, 8.0, 65)
    knots = {"knots": grid.tolist(), "values": (0.3 * expit(grid)).tolist()}
    tier = _tier(yardstick, 1, calibration={"temperature": 1.0, "actions": {"clicked": knots}})
    errors, curves = calibration_figures(yardstick, tier, n_bins=15)
    assert errors["grade"]["ece_before"] == errors["grade"]["ece_after"]
    assert errors["clicked"]["ece_after"] != errors["clicked"]["ece_before"]
    assert errors["applied"]["ece_after"] is None
    assert "after" not in curves["applied"]


def test_an_action_is_believed_by_the_clicks_of_candidates_that_are_looked_at():
    """Four rows at propensity 1/2 and one click, which counts twice: a rate of 1/2."""
    shown = [
        {"member_id": f"m{n}", "clicked": int(n == 0), "applied": 0, "weight": 2.0}
        for n in range(4)
    ]
    golden = [_graded("q", d, g) for d, g in (("a", 1), ("b", 0))]
    yardstick = Yardstick.of(golden, shown, ("clicked", "applied"), 100)
    says_a_half = {"knots": [-1.0, 1.0], "values": [0.5, 0.5]}
    logits = np.zeros((4, 7), dtype=np.float32)
    logits[:, 5] = np.log(1 / 3)  # before calibration: a quarter, the rate of the log
    tier = TierLogits(
        logits[:2], logits, OUTPUTS, False, True, {"actions": {"clicked": says_a_half}}
    )
    errors, curves = calibration_figures(yardstick, tier, n_bins=1)
    assert errors["clicked"]["ece_before"] == pytest.approx(0.25)
    assert errors["clicked"]["ece_after"] == pytest.approx(0.0)
    assert curves["clicked"]["after"] == [[0.5, 0.5, 4]]


def test_the_event_of_a_grade_is_the_middle_grade_or_more():
    """Logits that are sure and right have no error; sure and one grade too low, a large one."""
    yardstick = _yardstick()
    sure = 40.0 * np.eye(7, dtype=np.float32)[yardstick.grades]
    below = 40.0 * np.eye(7, dtype=np.float32)[np.maximum(yardstick.grades - 1, 0)]
    shown = np.zeros((len(yardstick.weights), 7), dtype=np.float32)
    found = [
        calibration_figures(
            yardstick, TierLogits(logits, shown, OUTPUTS, True, False, {}), n_bins=15
        )[0]["grade"]["ece_before"]
        for logits in (sure, below)
    ]
    assert found[0] == pytest.approx(0.0, abs=1e-6)
    assert found[1] == pytest.approx((yardstick.grades == 2).mean(), abs=1e-6)


def test_a_tier_ranks_by_the_temperature_that_it_serves_with():
    """By hand: (sure of 2) and (3 or 0) change places between temperature 1 and a high one."""
    sure, torn = [0, 0, 6, 0, 0], [2.0, 0, 0, 3.2, 0]
    tier = replace(_tier(_yardstick(), 0), golden=np.array([[*sure, 0, 0], [*torn, 0, 0]]))
    for temperature, expected in ((1.0, (2.0, 2.308)), (20.0, (2.0, 1.993))):
        served = replace(tier, calibration={"temperature": temperature})
        assert 4 * served.scored().on_golden == pytest.approx(expected, abs=1e-3)
