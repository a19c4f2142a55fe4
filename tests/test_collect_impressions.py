"""The step `collect_impressions`: which rows of a log teach, and when none can."""

from pathlib import Path
from typing import Any

import pytest

from tasks.collect_impressions import UNTOLD, collect_impressions
from tasks.core.errors import CookbookError
from tasks.core.store.artifacts import Artifact
from tasks.core.tables import columns_of, write_table
from tasks.exchange import LOG, PROPENSITIES, Domain, shown_rows
from tasks.report import _propensities as reported
from tasks.run import open_run
from tasks.settings import ImpressionSettings
from tests.test_distill import made

SETTINGS = ImpressionSettings(training_rows=500, calibration_rows=500, evaluation_rows=500)


def collected(
    store: Path, *, members: list[str], lists: int, at_random: int = 0, pairs_move: bool = True
) -> tuple[Artifact, list[dict[str, str]]]:
    """The artifact of a log of lists of five, a list an hour, asked for by the members in turn.

    And what the run skipped. The first ``at_random`` lists are in random order. Without
    ``pairs_move`` a query always gets the same list.
    """

    def write(out: Path) -> None:
        rows = [
            {
                "impression_id": f"i{number}",
                "query_id": f"q{number % 7}",
                "query": f"job {number % 7}",
                "member_id": members[number % len(members)],
                "doc_id": f"d{(number * pairs_move + place) % 11}",
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
    with open_run(store, "toy") as run:
        log = made("log", write)
        artifact: Artifact = step.fn(Domain(log, log, log, None, log, None), SETTINGS)
    return artifact, run.skipped


def test_a_log_of_nobody_in_particular_teaches_calibrates_and_measures(tmp_path: Path) -> None:
    """All without a name were one member, who calibrated: nothing was left to teach."""
    found, _ = collected(tmp_path, members=[""], lists=300)
    assert {use for use in found.counts if found.counts[use]} >= {"train", "calibrate", "held_out"}
    lists = [{row["impression_id"] for row in shown_rows(found, use)} for use in ("train", "later")]
    assert lists[0]
    assert not lists[1]


def test_a_log_that_cannot_teach_is_refused_before_anything_trains(tmp_path: Path) -> None:
    with pytest.raises(CookbookError, match="of its 5 rows none is such"):
        collected(tmp_path, members=["m3"], lists=1)


def test_a_ranker_that_never_moves_a_pair_leaves_the_position_bias_untold_and_the_run_says_so(
    tmp_path: Path,
) -> None:
    """All positions were reported as looked at alike, as if there were no position bias."""
    found, skipped = collected(tmp_path, members=[""], lists=300, pairs_move=False)
    assert found.json(PROPENSITIES)["method"] == "not_estimated"
    assert skipped == [{"step": "propensities", "reason": UNTOLD}]
    assert reported(found) == {}


def test_a_position_bias_that_the_log_tells_is_reported(tmp_path: Path) -> None:
    found, skipped = collected(tmp_path, members=[""], lists=300)
    assert found.json(PROPENSITIES)["method"] == "intervention_harvesting"
    assert skipped == []
    assert reported(found)["1"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_too_few_clicks_in_random_order_are_told_and_all_lists_measure(tmp_path: Path) -> None:
    """Of 60 members some twelve are held out, each with one list of random order, or four."""
    members = [f"m{number}" for number in range(60)]

    def measured(at_random: int) -> tuple[set[int], list[str]]:
        store = tmp_path / f"{at_random}"
        found, skipped = collected(store, members=members, lists=300, at_random=at_random)
        orders = {row["shown_at_random"] for row in shown_rows(found, "held_out")}
        return orders, [one["reason"] for one in skipped]

    for _ in range(2):  # made, and found again
        orders, (told,) = measured(60)
        assert orders == {0, 1}
        assert "fewer than 20 times in lists that were shown in random order" in told
    assert measured(250) == ({1}, [])
    assert measured(0) == ({0}, [])
