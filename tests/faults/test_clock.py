"""The clock jumps under a run, for the run and its server alike; monotonic time goes on."""

from pathlib import Path

import pytest

from tests.faults.test_server_away import wait_for_stage
from tests.flows.smoke import content_digests, report_of, smoke_run, started_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
# Of Debian's package faketime: moves the clock of one process and its children.
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@pytest.mark.skipif(not LIBRARIES, reason="needs libfaketime (Debian's package faketime)")
@pytest.mark.parametrize(("first", "then"), [("-3d", "+0"), ("+400d", "-3d")])
def test_a_clock_that_jumps_changes_no_content_and_no_duration(
    root: Path, straight: dict[str, str], tmp_path: Path, first: str, then: str
) -> None:
    """Back or a year ahead while a teacher learns, and elsewhere while a student does."""
    store, offset = tmp_path / "runs", tmp_path / "offset"
    offset.write_text("+0\n")
    clock = {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    run = started_run(root, store, **clock)
    for stage, jump in (("policy_teacher", first), ("student", then)):
        wait_for_stage(store, stage, run)
        assert run.poll() is None
        offset.write_text(f"{jump}\n")
    _, error = run.communicate()
    assert run.returncode == 0, error[-3000:]
    assert content_digests(store) == straight
    report = report_of(store)
    assert report["promotion"]["decision"] == "promoted"
    assert all(0 <= spent < 1800 for spent in report["seconds_by_step"].values())
    # The next run, by the true clock, finds everything.
    again = smoke_run(root, store)
    assert again.returncode == 0, again.stderr[-3000:]
    assert content_digests(store) == straight
    assert "in service already" in " ".join(report_of(store)["promotion"]["reasons"])
