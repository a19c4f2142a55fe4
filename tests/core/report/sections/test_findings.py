"""The sentence under each heading says what the numbers say, whichever way they lie."""

import re
from typing import Any

import pytest

from tasks.collect_impressions import UNTOLD
from tasks.core.report.sections.baselines import baselines
from tasks.core.report.sections.biases import biases
from tasks.core.report.sections.calibration import calibration
from tasks.core.report.sections.key_numbers import key_numbers
from tasks.core.report.sections.lineage import lineage
from tasks.core.report.sections.models import models
from tasks.core.report.sections.personalization import personalization
from tasks.core.report.sections.propensities import propensities
from tasks.core.report.sections.tradeoff import tradeoff
from tasks.core.report.sections.verdict import verdict
from tests.core.report.example_report import full_report
from tests.core.report.page import read_page


@pytest.fixture
def report() -> dict[str, Any]:
    return full_report()


def test_the_share_of_weights_and_the_speed_are_ratios_to_the_policy_teacher(
    report: dict[str, Any],
) -> None:
    report["tiers"][0] |= {"parameters": 1000, "pairs_per_second": 10.0}
    report["tiers"][-1] |= {"parameters": 250, "pairs_per_second": 35.0}
    words = read_page(models(report)).words
    assert "97.5% of the policy teacher's ranking quality with 25% of its weights, at 3.5" in words
    tiles = read_page(key_numbers(report)).words
    assert "4.0\u00d7 smaller than the teacher" in tiles
    assert "3.5\u00d7 the teacher's speed" in tiles


def test_the_model_up_for_promotion_is_the_one_told_of_wherever_it_stands(
    report: dict[str, Any],
) -> None:
    """With ``served_role: student`` the pruned student stands last and does not serve."""
    for role, name in (("pruned_student", "pruned student"), ("student", "student")):
        report["served_role"] = role
        assert f", {name} Kept of" in read_page(key_numbers(report)).words
        assert f"The {name} keeps" in read_page(models(report)).words
        assert f"The {name}'s NDCG@10" in read_page(baselines(report)).words
        assert f"calibration the {name} is off" in read_page(calibration(report)).words


def test_a_report_of_a_version_that_named_no_served_role_tells_of_the_last_tier(
    report: dict[str, Any],
) -> None:
    del report["served_role"]
    assert "The pruned student keeps" in read_page(models(report)).words
    report["tiers"].pop()
    assert "The student keeps" in read_page(models(report)).words


@pytest.mark.parametrize(
    ("bm25", "sentence"),
    [
        (
            {"ndcg_at_10": 0.8, "low": 0.79, "high": 0.81},
            ("is above keyword matching's 0.800; the intervals lie apart."),
        ),
        (
            {"ndcg_at_10": 0.88, "low": 0.86, "high": 0.9},
            ("is above keyword matching's 0.880; the intervals overlap."),
        ),
        ({"ndcg_at_10": 0.95}, "is not above keyword matching's 0.950."),
    ],
)
def test_models_are_held_against_keyword_matching(
    report: dict[str, Any], bm25: dict[str, float], sentence: str
) -> None:
    report["baselines"]["bm25"] = bm25 | {"click_auc": None}
    assert sentence in read_page(baselines(report)).words


def test_rankers_stand_in_the_order_of_their_quality(report: dict[str, Any]) -> None:
    words = read_page(baselines(report)).words.split("Click prediction")[0]
    names = [
        "Policy teacher",
        "Assistant",
        "Student of the policy teacher only",
        "Pruned student",
        "Embedding similarity",
        "BM25",
        "Random order",
    ]
    places = [words.index(name) for name in names]
    assert places == sorted(places)


def test_the_worst_calibrated_output_of_the_served_model_is_named(report: dict[str, Any]) -> None:
    report["tiers"][-1]["calibration"]["applied"]["ece_after"] = 0.034
    assert "pruned student is off by 3.4% on average where it is worst (applied)" in (
        read_page(calibration(report)).words
    )


def test_the_price_of_the_chosen_mix_is_counted_against_the_best_of_each_goal(
    report: dict[str, Any],
) -> None:
    words = read_page(tradeoff(report)).words
    assert "alpha 0.7, gives up 0.003 NDCG@10" in words  # 0.906 - 0.903
    assert "and 0.005 AUC" in words  # 0.669 - 0.664


def test_students_of_one_teacher_end_the_front_where_no_mix_does(report: dict[str, Any]) -> None:
    ends = tradeoff(report).count('class="mark end"')
    report["tradeoff"] = report["tradeoff"][1:-1]
    assert ends == 2
    assert tradeoff(report).count('class="mark end"') == 2
    del report["baselines"]["policy_only"]
    assert tradeoff(report).count('class="mark end"') == 1


def test_the_most_disputed_values_stand_first_and_rare_ones_not_at_all(
    report: dict[str, Any],
) -> None:
    words = read_page(tradeoff(report)).words
    assert "disagree: 21.4% of all candidates" in words
    assert words.index("TITLE-4") < words.index("TITLE-3") < words.index("TITLE-2")
    report["conflicts"]["by"][4]["pairs"] = 49
    words = read_page(tradeoff(report)).words
    assert "TITLE-4" not in words
    assert "TITLE-1" in words
    assert words.index("click and words") < words.index("policy and click")
    assert "34.7%" in words


def test_the_line_joins_the_mixes_that_no_other_beats_at_both(report: dict[str, Any]) -> None:
    def line() -> list[str]:
        (points,) = re.findall(r'<polyline[^>]*points="([^"]+)"', tradeoff(report))
        return points.split()

    before = line()
    assert len(before) == 5  # of six: alpha 1 is beaten
    assert before == sorted(before, key=lambda point: float(point.split(",")[0]))
    beaten = {**report["tradeoff"][2], "conflicts": "vote", "on_front": False}
    report["tradeoff"].append(beaten)
    assert line() == before
    page = read_page(tradeoff(report)).words
    assert "0.5, vote" in page
    assert "0.7 (chosen, on the front)" in page
    report["tradeoff"][-1]["on_front"] = True
    assert len(line()) == 6


def test_many_disputed_clauses_crowd_out_neither_kinds_of_queries_nor_groups(
    report: dict[str, Any],
) -> None:
    words = read_page(tradeoff(report)).words
    assert "TITLE-1" not in words  # the fourth most disputed clause
    for shown in ("query kind: title, existing", "pair source: retrieved", "member branch: g1"):
        assert shown in words
    assert words.count("group ") == 3  # of the four, whatever attribute they are of
    assert words.index("group place: g1") < words.index("group place: g0")


def test_the_greatest_bias_is_named_and_each_tier_has_a_verdict(report: dict[str, Any]) -> None:
    words = read_page(biases(report)).words
    assert "changes no candidate's worth is 0.080" in words
    assert words.count("grows") >= 5
    assert "at least 100% of the candidates" in words
    for one in report["biases"].values():
        unread = dict.fromkeys(("value", "low", "high")) | {"n": 0, "read_share": 0.0}
        one["length"] |= unread | {"verdict": "not measured"}
    words = read_page(biases(report)).words
    assert words.count("not measured") == len(report["biases"])
    assert "0.080. Every edit was read of at least 0% of" in words
    report["biases"] = None
    assert "Not measured." in read_page(biases(report)).words


def test_a_silent_judge_is_named_and_no_model_is_blamed(report: dict[str, Any]) -> None:
    """A provider's filter refused all orders, and one text in five besides."""
    tiers = report["biases"]
    own = {bias: {**one, "read_share": 0.8} for bias, one in tiers["policy_teacher"].items()}
    unread = dict.fromkeys(("value", "low", "high"))
    silent = unread | {"n": 0, "read_share": 0.0, "verdict": "not measured"}
    tiers["judge"] = own | {"injected_instruction": silent}
    words = read_page(biases(report)).words
    assert "0.080. Every edit was read of at least 100% of the candidates. " in words
    assert "The judge answered about no candidate with: injected instruction. " in words
    assert "Else it answered about at least 80% of them." in words
    assert "max_tokens" not in words
    tiers["judge"] = own
    assert "The judge answered about at least 80% of them." in read_page(biases(report)).words
    tiers["judge"] = {bias: {**one, "read_share": 1.0} for bias, one in own.items()}
    assert "answered about at least" not in read_page(biases(report)).words
    # What no model reads is blamed on max_tokens, whether or not the judge answered.
    for tier in [one for role, one in tiers.items() if role != "judge"]:
        tier.update(dict.fromkeys(tier, silent))
    for judge in (own, dict.fromkeys(own, silent)):
        tiers["judge"] = judge
        assert "no model reads the edits, its max_tokens" in read_page(biases(report)).words


def test_the_judge_comes_first_and_tiers_as_they_were_taught(report: dict[str, Any]) -> None:
    one = next(iter(report["biases"].values()))
    own = {bias: {**shift, "verdict": "reference"} for bias, shift in one.items()}
    alphabetical = sorted([*report["biases"], "policy_only"])  # as JSON is written
    report["biases"] = {role: report["biases"].get(role, one) for role in alphabetical}
    report["biases"]["judge"] = own
    words = read_page(biases(report)).words
    assert words.count("reference") >= 3
    order = ["Judge", "Policy teacher", "Assistant", "Student", "Pruned student", "Policy only"]
    found = [re.search(rf"{name} \S?0\.\d", words) for name in order]
    places = [one.start() if one else None for one in found]
    assert None not in places
    assert places == sorted(places)


def test_a_gain_whose_interval_holds_zero_is_not_sold_as_one(report: dict[str, Any]) -> None:
    assert "could not be chance" not in read_page(personalization(report)).words
    report["personalization"]["gain"] |= {"value": 0.002, "low": -0.003}
    assert "no difference that could not be chance" in read_page(personalization(report)).words


def test_a_bin_of_clicks_that_count_more_than_once_stays_in_its_diagram(
    report: dict[str, Any],
) -> None:
    role = report["tiers"][-1]["role"]
    report["reliability"] = {role: {"clicked": {"after": [[0.2, 0.1, 9], [0.8, 1.5, 9]]}}}
    page = calibration(report)
    heights = [float(found) for found in re.findall(r'cy="([-\d.]+)"', page)]
    assert len(heights) == 2
    assert min(heights) == pytest.approx(26, abs=0.1)  # the upper end of the axis
    assert "happened 150.0%" in page


def test_positions_stand_in_the_order_of_the_list_not_of_the_alphabet(
    report: dict[str, Any],
) -> None:
    numbers = {"10": 0.2, "2": 0.6, "1": 1.0}
    report["propensities"] = {
        position: {"value": value, "low": value, "high": value}
        for position, value in numbers.items()
    }
    words = read_page(propensities(report)).words
    assert "Position 10 is looked at 20% as often as position 1." in words


def test_a_position_bias_that_the_log_does_not_tell_is_not_reported_as_none(
    report: dict[str, Any],
) -> None:
    report |= {"propensities": {}, "propensity_method": "not_estimated"}
    report["skipped"].append({"step": "propensities", "reason": UNTOLD})
    words = read_page(propensities(report)).words
    assert f"Not measured. {UNTOLD}" in words
    assert "clicks are not corrected" in words
    assert "as often as position 1" not in words
    assert "Words that go with clicks" in words


def test_shards_of_one_step_are_one_box_and_outside_inputs_are_counted(
    report: dict[str, Any],
) -> None:
    shard = {"step": "score", "seconds": 2.0, "counts": {"rows": 5}, "reused": False}
    report["lineage"] = [
        shard | {"digest": "a" * 64, "inputs": ["policy"]},
        shard | {"digest": "b" * 64, "inputs": ["golden", "model"]},
        shard | {"step": "distill", "digest": "c" * 64, "inputs": ["a" * 64, "b" * 64]},
    ]
    html = lineage(report)
    words = read_page(html).words
    assert html.count('class="node"') == 2
    assert "Score \u00d7 2 4.0 s" in words
    assert "2 outside inputs" in words


@pytest.mark.parametrize(
    ("decision", "version", "sentence"),
    [
        ("promoted", "v7", "v7 is now the model in service for job_search."),
        ("waiting", "v7", "v7 waits for a person to approve or refuse it for job_search."),
        ("refused", None, "This run's model does not go into service for job_search;"),
    ],
)
def test_each_decision_says_what_it_means(
    report: dict[str, Any], decision: str, version: str | None, sentence: str
) -> None:
    report["promotion"] |= {"decision": decision, "version": version}
    html = verdict(report)
    assert sentence in read_page(html).words
    assert f'class="verdict {decision}"' in html
