from tasks.core.report.sections.fairness import fairness
from tests.core.report.example_report import full_report
from tests.core.report.page import read_page


def test_small_groups_are_named_by_their_rows() -> None:
    words = read_page(fairness(full_report())).words
    assert "Too small to judge: region: remote (26)." in words


def test_groups_that_the_measurement_calls_small_win_over_the_rule_of_rows() -> None:
    report = full_report()
    report["fairness"]["small_groups"] = {"age: 50+": 9}
    words = read_page(fairness(report)).words
    assert "Too small to judge: age: 50+ (9)." in words


def test_differences_beyond_chance_are_counted_and_marked() -> None:
    report = full_report()
    report["fairness"]["twins"] = None
    report["fairness"]["metrics"] = [
        _metric("auc", 0.01),
        _metric("ece", 0.2),
        _metric("recall", 0.5),
        _metric("ndcg_at_10", None),
    ]
    html = fairness(report)
    assert "1 of 3 differences between groups are larger than chance explains" in html
    assert html.count('class="mark differs"') == 1


def test_a_difference_that_could_not_be_measured_is_named_not_drawn() -> None:
    report = full_report()
    report["fairness"]["metrics"] = [_metric("auc", 0.3), _metric("ece", None)]
    words = read_page(fairness(report)).words
    assert "Not measured: ECE of sex: f - m (student)." in words


def test_the_served_model_is_in_view_and_the_others_behind_a_line_to_open() -> None:
    html = fairness(full_report())
    assert html.index("<figcaption>Pruned student") < html.index("<summary>Student")
    assert html.count("<details>") == 2


def test_clicks_told_before_relevance_put_no_other_model_in_full_view() -> None:
    """As a run writes them: clicks of click teacher and students, then relevance from the top."""
    report = full_report()
    gaps = report["fairness"]["metrics"]
    clicks = [{**gap, "name": f"click_{gap['name']}"} for gap in gaps if "student" in gap["tier"]]
    report["fairness"]["metrics"] = [*clicks, *gaps]
    for role, name in (("pruned_student", "Pruned student"), ("student", "Student")):
        report["served_role"] = role
        html = fairness(report)
        assert f"<figcaption>{name}</figcaption>" in html
        assert f"<summary>{name}:" not in html
        assert html.count("<details>") == 2


def test_only_gaps_that_grew_beyond_chance_are_listed() -> None:
    words = read_page(fairness(full_report())).words
    assert "1 of 2 gaps grew beyond chance" in words
    assert "Pruned student policy teacher recall, region: rural - urban +0.010 +0.060" in words


def test_a_scorer_that_tells_no_twins_apart_is_called_out() -> None:
    words = read_page(fairness(full_report())).words
    assert "20 golden pairs, told with one thing changed" in words
    assert "Pruned student scores 65% of the twins exactly alike" in words
    assert "Policy teacher scores" not in words


def test_a_mitigation_says_that_it_is_not_applied_and_what_each_dial_costs() -> None:
    words = read_page(fairness(full_report())).words
    assert "Mitigation, not applied" in words
    assert "region 0.500 0.00310 0.00155" in words
    assert "fitted on 812 clicks that the report does not use" in words


def _metric(name: str, p_value: float | None) -> dict[str, object]:
    value = None if p_value is None else 0.1
    return {
        "tier": "student",
        "name": name,
        "group_pair": "sex: f - m",
        "value": value,
        "low": value,
        "high": value,
        "p_value": p_value,
    }
