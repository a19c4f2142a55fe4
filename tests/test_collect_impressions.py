"""The step `collect_impressions`: which rows of a log teach, and when none can."""

from pathlib import Path
from typing import Any

import pytest

from tasks.collect_impressions import collect_impressions
from tasks.core.errors import CookbookError
from tasks.core.store.artifacts import Artifact
from tasks.core.tables import columns_of, write_table
from tasks.exchange import LOG, Domain, shown_rows
from tasks.run import listening, open_run
from tasks.settings import ImpressionSettings
from tests.test_distill import made

SETTINGS = ImpressionSettings(training_rows=500, calibration_rows=500, evaluation_rows=500)


def collected(store: Path, *, members: list[str], lists: int, at_random: int = 0) -> Artifact:
    """The artifact of a log of lists of five, a list an hour, asked for by the members in turn."""

    def write(out: Path) -> None:
        rows = [
            {
                "impression_id": f"i{number}",
                "query_id": f"q{number % 7}",
                "query": f"job {number % 7}",
                "member_id": members[number % len(members)],
                "doc_id": f"d{(number + place) % 11}",
                "position": place + 1,
                "shown_at_random": int(number < at_random),
                "clicked": int((number + place) % 4 == 0),
                "timestamp": 1.7e9 + 3600.0 * number,
            }
            for number in range(lists)
            for place in range(5)
        ]
        write_table(out / LOG, columns_of(rows))

    step: Any = collect_impressions
    with open_run(store, "toy"):
        log = made("log", write)
        artifact: Artifact = step.fn(Domain(log, log, log, None, log, None), SETTINGS)
    return artifact


def test_a_log_of_nobody_in_particular_teaches_calibrates_and_measures(tmp_path: Path) -> None:
    """All without a name were one member, who calibrated: nothing was left to teach."""
    found = collected(tmp_path, members=[""], lists=300)
    assert {use for use in found.counts if found.counts[use]} >= {"train", "calibrate", "held_out"}
    lists = [{row["impression_id"] for row in shown_rows(found, use)} for use in ("train", "later")]
    assert lists[0]
    assert not lists[1]


def test_a_log_that_cannot_teach_is_refused_before_anything_trains(tmp_path: Path) -> None:
    with pytest.raises(CookbookError, match="of its 5 rows none is such"):
        collected(tmp_path, members=["m3"], lists=1)


def test_too_few_clicks_in_random_order_are_told_and_all_lists_measure(tmp_path: Path) -> None:
    """Of 60 members some twelve are held out, each with one list of random order, or four."""
    members = [f"m{number}" for number in range(60)]

    def measured(at_random: int) -> tuple[set[int], list[str]]:
        told: list[str] = []
        with listening(lambda event, what, _: told.append(what) if event == "skipped" else None):
            found = collected(
                tmp_path / f"{at_random}", members=members, lists=300, at_random=at_random
            )
        return {row["shown_at_random"] for row in shown_rows(found, "held_out")}, told

    for _ in range(2):  # made, and found again
        orders, (told,) = measured(60)
        assert orders == {0, 1}
        assert "fewer than 20 times in lists that were shown in random order" in told
    assert measured(250) == ({1}, [])
    assert measured(0) == ({0}, [])
