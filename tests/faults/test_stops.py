"""A stop in the middle of any stage leaves one line, no child, no half file, and a way on."""

import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.flows.smoke import content_digests, half_files, smoke_run, started_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
PLACES = (
    "before_rename:9",
    "pairs:before_build",
    "judgments:before_build",
    "training:step:3",
    "checkpoint:after_weights",
    "soft_labels:shard",
    "effects:before_build",
    "registry_after_copy",
)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_anywhere_leaves_nothing_half_and_the_next_run_goes_on(
    root: Path,
    straight: dict[str, str],
    server: dict[str, str],
    tmp_path: Path,
    sent: signal.Signals,
    code: int,
) -> None:
    for place in PLACES:
        armed = {"COOKBOOK_FAULT": place, "COOKBOOK_FAULT_SIGNAL": sent.name}
        # The first stop is of a run with a server of its own, which must go with it.
        asked = {} if place == PLACES[0] else server
        run = started_run(root, tmp_path, **asked, **armed)
        error, children = ended(run)
        assert children or asked
        assert run.returncode == code, (place, error[-2000:])
        assert error == "cookbook: stopped; run the same command again to go on.\n", place
        assert half_files(tmp_path) == [], place
        assert not psutil.wait_procs(children, timeout=10)[1], place
    done = smoke_run(root, tmp_path, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(tmp_path) == straight


def ended(run: "subprocess.Popen[str]") -> tuple[str, set[psutil.Process]]:
    """What a run said on stderr by its end, and all processes seen below it."""
    process, below = psutil.Process(run.pid), set[psutil.Process]()
    while True:
        with suppress(psutil.Error):
            below.update(process.children(recursive=True))
        with suppress(subprocess.TimeoutExpired):
            _, error = run.communicate(timeout=0.1)
            return error, below
