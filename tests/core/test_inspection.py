"""What differs between two runs, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import CookbookError
from tasks.core.inspection import FinishedRun, compare


def run(seed: int = 0, ndcg: float = 0.5, seconds: float = 1.0) -> FinishedRun:
    report: dict[str, Any] = {
        "tiers": [{"role": "student", "golden": {"ndcg_at_10": ndcg}}],
        "seconds_by_step": {"student": seconds},
    }
    manifest = {"settings": {"student": {"training": {"seed": seed}}}, "artifacts": {"a": "x"}}
    return FinishedRun(report, manifest, Path())


def test_equal_runs_do_not_differ_by_their_timings() -> None:
    assert compare(run(), run(seconds=2.0)) == []


def test_settings_come_first_and_results_are_named_by_role() -> None:
    assert compare(run(), run(seed=1, ndcg=0.25)) == [
        "setting student.training.seed: 0 -> 1",
        "tiers[student].golden.ndcg_at_10: 0.5 -> 0.25",
    ]


def test_a_folder_without_a_finished_run_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CookbookError, match=r"report\.json"):
        FinishedRun.load(tmp_path)
