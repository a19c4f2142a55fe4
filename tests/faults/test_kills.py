"""kill -9 anywhere, then the same command again: the content is that of an undisturbed run."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.flows.smoke import content_digests, smoke_run, started_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
POINTS = ("before_build", "after_build", "after_manifest", "after_rename")
KINDS = ("pairs", "judgments", "policy_teacher", "soft_labels", "student", "effects", "gate")


def stages(store: Path) -> list[str]:
    """Kinds of a store's artifacts, in the order in which they were made."""
    manifests = sorted(
        store.glob("artifacts/*/*/manifest.json"), key=lambda p: p.stat().st_mtime_ns
    )
    return list(dict.fromkeys(json.loads(path.read_text())["kind"] for path in manifests))


def kill_while_building(kind: str, root: Path, store: Path, server: dict[str, str]) -> bool:
    """Run, and kill as soon as the kind's artifact begins; False where it was whole by then.

    It is killed then too: a run that went on would leave no later stage to kill.
    """
    run, half_built = started_run(root, store, **server), False
    while run.poll() is None:
        if begun := list((store / "artifacts" / kind).glob("*")):
            os.kill(run.pid, signal.SIGKILL)
            half_built = any(folder.suffix == ".building" for folder in begun)
            break
        time.sleep(0.002)
    run.communicate()
    return half_built


def test_a_kill_in_the_middle_of_every_stage_changes_no_content(
    root: Path,
    undisturbed: Path,
    straight: dict[str, str],
    server: dict[str, str],
    tmp_path: Path,
) -> None:
    kinds = stages(undisturbed)
    killed = [kind for kind in kinds if kill_while_building(kind, root, tmp_path, server)]
    done = smoke_run(root, tmp_path, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(tmp_path) == straight
    # A stage of a few milliseconds may end between two looks at it.
    assert len(killed) > 0.7 * len(kinds), f"killed in {killed} of {kinds}"


def test_a_kill_at_every_write_point_changes_no_content(
    root: Path, straight: dict[str, str], server: dict[str, str], tmp_path: Path
) -> None:
    for kind in KINDS:
        for point in POINTS:
            done = smoke_run(root, tmp_path, **server, COOKBOOK_FAULT=f"{kind}:{point}")
            assert done.returncode == -signal.SIGKILL, (kind, point, done.stderr[-2000:])
    done = smoke_run(root, tmp_path, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(tmp_path) == straight


def test_kills_in_the_middle_of_every_training_change_no_content(
    root: Path, straight: dict[str, str], server: dict[str, str], tmp_path: Path
) -> None:
    """Killed at its fifth training step again and again: each run gets one checkpoint further."""
    trained: set[str] = set()
    for _ in range(60):
        done = smoke_run(root, tmp_path, **server, COOKBOOK_FAULT="training:step:5")
        trained |= {path.parent.name for path in tmp_path.glob("artifacts/*/*.building")}
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert trained >= {"policy_teacher", "click_teacher", "assistant", "student", "pruned_student"}
    assert content_digests(tmp_path) == straight


@pytest.mark.parametrize("point", ["training:step:3", "checkpoint:after_weights:2"])
def test_two_kills_in_training_change_no_content(
    point: str, root: Path, straight: dict[str, str], server: dict[str, str], tmp_path: Path
) -> None:
    for _ in range(2):
        done = smoke_run(root, tmp_path, **server, COOKBOOK_FAULT=point)
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    done = smoke_run(root, tmp_path, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(tmp_path) == straight


@pytest.mark.parametrize(
    "point", ["before_rename:4", "label_after_reply:5", "registry_before_pointer"]
)
def test_a_kill_at_a_named_point_changes_no_content(
    point: str, root: Path, straight: dict[str, str], server: dict[str, str], tmp_path: Path
) -> None:
    killed = smoke_run(root, tmp_path, **server, COOKBOOK_FAULT=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    done = smoke_run(root, tmp_path, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(tmp_path) == straight
    pointer = json.loads((tmp_path / "job_search" / "registry" / "current.json").read_text())
    assert pointer["version"] == "v0001"


def test_a_kill_between_shards_keeps_those_that_are_done_and_changes_no_content(
    root: Path, straight: dict[str, str], server: dict[str, str], tmp_path: Path
) -> None:
    """Twice the eighth shard: the second run goes on from the first one's eight."""
    for done_before in (8, 16):
        killed = smoke_run(root, tmp_path, **server, COOKBOOK_FAULT="effects:shard:8")
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
        assert len(list(tmp_path.glob("scratch/*/*-of-00003.arrow"))) == done_before
    done = smoke_run(root, tmp_path, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(tmp_path) == straight
