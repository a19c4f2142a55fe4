import io

from rich.console import Console

from tasks.core.report.terminal import judge_line, summary_table, verdict_line
from tests.core.report.example_report import full_report, minimal_report


def _printed(report: dict[str, object], width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(summary_table(report))
    return out.getvalue().splitlines()


def test_the_verdict_line_says_what_was_decided_and_why() -> None:
    assert verdict_line(full_report()) == (
        "Promoted. v0004 is now the model in service for job_search. "
        "NDCG@10 on the gate split, 0.894, is above BM25's 0.842."
    )


def test_the_judge_line_names_what_its_kappa_is_held_to() -> None:
    assert judge_line(full_report()) == (
        "Judge: embedded-minilm-l6, not an LLM, kappa 0.70 "
        "(floor 0.60, people among themselves 0.78)"
    )
    bare = minimal_report()
    bare["judge"]["kappa"] = None
    assert judge_line(bare).endswith("not measured against people")


def test_no_control_character_of_a_reason_reaches_the_terminal() -> None:
    report = full_report()
    report["promotion"]["reasons"] = ["\x1b[2Jgone\r\nover\u202e"]
    assert verdict_line(report).endswith("[2Jgone over")
    assert verdict_line(report).isprintable()


def test_the_table_has_every_model_whole_on_a_terminal_of_80_columns() -> None:
    lines = _printed(full_report())
    (student,) = [line for line in lines if line.strip().startswith("Pruned student")]
    assert student.split() == [
        "Pruned",
        "student",
        "0.889",
        "97.5%",
        "0.661",
        "98.4%",
        "0.67",
        "14.2M",
        "718",
    ]
    assert "…" not in "".join(lines)


def test_what_is_not_measured_is_a_dash_that_the_caption_explains() -> None:
    """As the kappa of a click teacher, which gives no grades, in every run with clicks."""
    report = full_report()
    assert "-: not measured" not in "\n".join(_printed(report))
    for tier in report["tiers"]:
        if tier["role"] == "click_teacher":
            tier["golden"]["kappa"] = None
    lines = _printed(report)
    (teacher,) = [line.split() for line in lines if line.strip().startswith("Click teacher")]
    assert teacher[6] == "-"
    assert "-: not measured" in lines[-1]
    assert "…" not in "".join(lines)


def test_without_clicks_the_table_says_so_instead_of_showing_empty_columns() -> None:
    text = "\n".join(_printed(minimal_report()))
    assert "clicks: not measured" in text
    assert "BM25" in text


def test_square_brackets_of_a_domain_are_no_markup() -> None:
    assert "[bold]x" in "\n".join(_printed(full_report() | {"domain": "[bold]x"}))
