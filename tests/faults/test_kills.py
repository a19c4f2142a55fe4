"""kill -9 anywhere, then the same command again: the content is that of an undisturbed run."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tasks.core.store.registry import Registry
from tests.flows.smoke import content_digests, half_files, smoke_run, started_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
POINTS = ("before_build", "after_build", "after_manifest", "after_rename")
# One kind of each way to build: from files, from the journal, by checkpoints, by shards, from a
# model's output. All artifacts are written by the same lines, and every kind is killed while it
# builds; COOKBOOK_TEST_ALL_KINDS=1 sweeps them all, which takes four times as long.
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


def kill_at(point: str, root: Path, store: Path, server: dict[str, str]) -> None:
    """Run, and be killed at a named point; to come past it unharmed is an error."""
    killed = smoke_run(root, store, **server, COOKBOOK_FAULT=point)
    assert killed.returncode == -signal.SIGKILL, (point, killed.stderr[-2000:])


def goes_on_to(straight: dict[str, str], root: Path, store: Path, server: dict[str, str]) -> None:
    """Run to the end, with the content of an undisturbed run."""
    done = smoke_run(root, store, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(store) == straight


def test_a_kill_in_the_middle_of_every_stage_changes_no_content(
    root: Path,
    undisturbed: Path,
    straight: dict[str, str],
    server: dict[str, str],
    tmp_path: Path,
) -> None:
    kinds = stages(undisturbed)
    killed = [kind for kind in kinds if kill_while_building(kind, root, tmp_path, server)]
    goes_on_to(straight, root, tmp_path, server)
    # A stage of a few milliseconds may end between two looks at it.
    assert len(killed) > 0.7 * len(kinds), f"killed in {killed} of {kinds}"


@pytest.mark.parametrize("kills", [1, 2])
def test_kills_at_every_write_point_change_no_content(
    kills: int,
    root: Path,
    undisturbed: Path,
    straight: dict[str, str],
    server: dict[str, str],
    tmp_path: Path,
) -> None:
    kinds = stages(undisturbed) if os.environ.get("COOKBOOK_TEST_ALL_KINDS") else KINDS
    for kind in kinds:
        for point in POINTS:
            # What has its name is found from then on: a second run does not come by.
            for _ in range(1 if point == "after_rename" else kills):
                kill_at(f"{kind}:{point}", root, tmp_path, server)
    goes_on_to(straight, root, tmp_path, server)
    assert half_files(tmp_path) == []
    assert [*tmp_path.rglob("*.building"), *tmp_path.glob("scratch/*")] == []


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


@pytest.mark.parametrize(
    "point", ["training:step:3", "checkpoint:after_weights:2", "checkpoint:before_marker:2"]
)
def test_two_kills_in_training_change_no_content(
    point: str, root: Path, straight: dict[str, str], server: dict[str, str], tmp_path: Path
) -> None:
    for _ in range(2):
        kill_at(point, root, tmp_path, server)
    goes_on_to(straight, root, tmp_path, server)


@pytest.mark.parametrize("kills", [1, 2])
@pytest.mark.parametrize(
    "point",
    [
        "before_rename:4",
        "label_after_intent:5",
        "label_after_reply:5",
        "label_after_result:5",
        "registry_after_copy",
        "registry_after_register",
        "registry_before_pointer",
    ],
)
def test_kills_at_a_named_point_change_no_content(
    point: str,
    kills: int,
    root: Path,
    straight: dict[str, str],
    server: dict[str, str],
    tmp_path: Path,
) -> None:
    for _ in range(kills):
        kill_at(point, root, tmp_path, server)
    goes_on_to(straight, root, tmp_path, server)
    pointer = json.loads((tmp_path / "job_search" / "registry" / "current.json").read_text())
    assert pointer["version"] == "v0001"


def test_kills_while_a_damaged_version_gets_its_files_back_lose_nothing(
    root: Path, undisturbed: Path, server: dict[str, str], tmp_path: Path
) -> None:
    store = Path(shutil.copytree(undisturbed, tmp_path / "runs", symlinks=True))
    registry = Registry(store / "job_search" / "registry")
    model = registry.model("v0001")
    files = [path for path in model.file("scorer").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    for path in files:
        path.write_bytes(b"")
    for point in ("registry_in_restore", "registry_in_restore:2"):
        kill_at(point, root, store, server)
        assert registry.served_version() == "v0001"
    done = smoke_run(root, store, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path: path.read_bytes() for path in files} == before
    assert registry.versions() == ["v0001"]
    assert list(registry.folder.rglob(".*.building")) == []


def test_a_kill_between_shards_keeps_those_that_are_done_and_changes_no_content(
    root: Path, straight: dict[str, str], server: dict[str, str], tmp_path: Path
) -> None:
    """Twice the eighth shard: the second run goes on from the first one's eight."""
    for done_before in (8, 16):
        kill_at("effects:shard:8", root, tmp_path, server)
        assert len(list(tmp_path.glob("scratch/*/*-of-00003.arrow"))) == done_before
    goes_on_to(straight, root, tmp_path, server)
