from collections.abc import Callable
from typing import Any

import pytest

from tasks.core.errors import CookbookError
from tasks.core.report.schema import validate_report
from tests.core.report.example_report import full_report, minimal_report

Report = dict[str, Any]


@pytest.mark.parametrize("report", [full_report(), minimal_report()], ids=["full", "minimal"])
def test_a_report_that_keeps_the_contract_passes(report: Report) -> None:
    assert _keeps_the_contract(report)


def _keeps_the_contract(report: Report) -> bool:
    try:
        validate_report(report)
    except CookbookError:
        return False
    return True


def _drop_skipped(report: Report) -> None:
    del report["skipped"]


def _rename_a_role(report: Report) -> None:
    report["tiers"][1]["role"] = "giant"


def _lose_a_bound(report: Report) -> None:
    del report["tiers"][2]["kept"]["ndcg_at_10"]["low"]


def _give_no_reason(report: Report) -> None:
    report["promotion"]["reasons"] = []


def _lose_bm25(report: Report) -> None:
    del report["baselines"]["bm25"]


def _divide_by_zero(report: Report) -> None:
    report["tiers"][0]["latency_ms"]["p99"] = float("inf")


def _measure_nothing(report: Report) -> None:
    report["fairness"]["metrics"][0]["value"] = float("nan")


@pytest.mark.parametrize(
    ("break_it", "where"),
    [
        (_drop_skipped, "its top level: 'skipped'"),
        (_rename_a_role, "tiers[1].role"),
        (_lose_a_bound, "tiers[2].kept.ndcg_at_10"),
        (_give_no_reason, "promotion.reasons"),
        (_lose_bm25, "baselines: 'bm25'"),
        (_divide_by_zero, "tiers[0].latency_ms.p99, got inf"),
        (_measure_nothing, "fairness.metrics[0].value, got nan"),
    ],
)
def test_a_violation_is_named_by_its_path(break_it: Callable[[Report], None], where: str) -> None:
    report = full_report()
    break_it(report)
    with pytest.raises(CookbookError) as error:
        validate_report(report)
    assert where in str(error.value)
