from tasks.core.report.sections.judge import confusion, judge
from tests.core.report.example_report import full_report, minimal_report
from tests.core.report.page import read_page


def test_the_heat_map_shades_by_share_of_the_human_grade() -> None:
    page = read_page(confusion([[3, 1], [0, 0]]))
    assert [cell["style"] for cell in page.named("td")] == [
        "--share:0.750",
        "--share:0.250",
        "--share:0.000",
        "--share:0.000",
    ]
    assert [cell.get("class") for cell in page.named("td")] == ["same", None, None, "same"]


def test_agreement_is_counted_on_and_beside_the_diagonal() -> None:
    report = full_report()
    report["judge"]["by_grade"] = [[5, 1, 1], [0, 2, 0], [0, 0, 1]]  # 8 of 10, then 9 of 10
    words = read_page(judge(report)).words
    assert "Same grade 80%" in words
    assert "At most one grade apart 90%" in words


def test_kappa_stands_beside_the_kappa_between_people() -> None:
    words = read_page(judge(full_report())).words
    assert "Judge and people agree at kappa 0.70; people among themselves at 0.78." in words


def test_the_floor_has_two_decimals_as_the_kappas_beside_it() -> None:
    report = full_report()
    report["judge"]["floor"] = 0.40875612170739345
    assert "thin line: floor 0.41 " in read_page(judge(report)).words + " "


def test_a_known_truth_is_shown_where_the_run_has_one() -> None:
    report = full_report() | {
        "judge_vs_truth": {"kappa": {"value": 0.66, "low": 0.6, "high": 0.7}, "note": "simulated"}
    }
    words = read_page(judge(report)).words
    assert "Truth: kappa" in words
    assert "0.60 to 0.70" in words


def test_an_unmeasured_confusion_says_so() -> None:
    assert "Where judge and people differ Not measured." in read_page(judge(minimal_report())).words


def test_a_checked_judge_shows_what_was_tried_and_an_unchecked_one_nothing() -> None:
    report = full_report()
    assert "hostile text" not in read_page(judge(report)).words
    report["judge"] |= {
        "bias": 0.25,
        "prompt": {"name": "sceptical"},
        "stated": {"differing": 0.125, "kappa": 0.6},
        "dimension_kappas": {"TITLE": 0.81, "PAY": None},
        "wobbles": [{"change": "paraphrased", "pairs": 40, "moved_share": 0.1, "mean_move": 0.12}],
        "twins": [
            {"attack": "stuffing", "pairs": 24, "raised_share": 0.25, "shift": {"value": 0.5}}
        ],
    }
    words = read_page(judge(report)).words
    assert "Bias, in grades +0.25" in words
    assert "Prompt sceptical" in words
    assert "Own sum differs from the policy's 12.5%" in words
    assert "Asked paraphrased 40 10% moved 0.12" in words
    assert "Added: stuffing 24 25% rose +0.50" in words
    assert "Agreement on each dimension" in words
    assert "PAY" not in words
