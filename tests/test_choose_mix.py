"""The step that picks a student: what it cannot choose by, it says."""

from pathlib import Path
from typing import Any

import pytest

from tasks.choose_mix import choose_mix
from tasks.core.errors import CookbookError
from tasks.core.tables import columns_of, write_table
from tasks.exchange import GOLDEN, PEOPLE, Domain
from tasks.run import open_run
from tasks.settings import MixSettings
from tests.test_distill import made


@pytest.mark.parametrize(("taught", "left"), [("q9", 2), ("q1", 1)])
def test_without_a_relevant_tune_pair_left_there_is_nothing_to_choose_by(
    tmp_path: Path, taught: str, left: int
) -> None:
    """Of two tune queries one has a grade above 0, if any: its grades may have taught."""
    relevant = int(taught == "q1")
    rows = [
        {"query_id": f"q{number % 2}", "split": "tune", "grade": (number % 2) * relevant}
        for number in range(4)
    ]
    step: Any = choose_mix
    with open_run(tmp_path, "toy"):
        golden = made("golden", lambda out: write(out / GOLDEN, rows))
        people = made("people_grades", lambda out: write(out / PEOPLE, [{"query_id": taught}]))
        domain = Domain(golden, golden, golden, None, None, None)
        with pytest.raises(CookbookError, match=f"{left} such queries have none"):
            step.fn(domain, {}, people, None, MixSettings(alphas=(0.3,)))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    write_table(path, columns_of(rows))
