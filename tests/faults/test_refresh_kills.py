"""kill -9 of the daily refresh at each of its writes, and a person who decides meanwhile."""

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.core.store.registry import Registry
from tasks.core.store.versions import read_manifest
from tests.faults.small_store import happened
from tests.flows.served import wait_for
from tests.flows.smoke import COOKBOOK, PROJECT, content_digests, environment, half_files

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
# In the order in which a refresh comes by: each run finds what the one before finished. The first
# file renamed is the figures', then the artifact's manifest, the version's, and the pointer.
POINTS = (
    *("effects:shard", "refreshed_effects:before_build", "before_rename"),
    *("refreshed_effects:after_build", "before_rename:2", "refreshed_effects:after_manifest"),
    *("refreshed_effects:after_rename", "before_rename", "registry_after_copy"),
    *("registry_after_register", "registry_before_pointer", "before_rename"),
    "registry_after_pointer",
)
# A second kill there would need the first to have undone what had its name.
ONCE = ("refreshed_effects:after_rename", "registry_after_pointer")


def started(root: Path, store: Path, **more: str) -> "subprocess.Popen[str]":
    places = ["--root", str(root), "--store", str(store)]
    return subprocess.Popen(
        [*COOKBOOK, "refresh", "--profile", "smoke", *places],
        env=environment(root.parent / "prefect", **more),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refresh(root: Path, store: Path, **more: str) -> tuple[int, str]:
    """Exit code, and all it said."""
    run = started(root, store, **more)
    out, error = run.communicate()
    return run.returncode, out + error


def registry_of(store: Path) -> Registry:
    return Registry(store / "job_search" / "registry")


def outcome(store: Path) -> dict[str, Any]:
    """What a refresh leaves, whenever it ran."""
    registry = registry_of(store)
    folders = {name: registry.folder / "versions" / name for name in registry.versions()}
    served = registry.current()
    return {
        "artifacts": content_digests(store),
        "versions": {name: read_manifest(one)["content"] for name, one in folders.items()},
        "in service": served and served.version,
        "log": happened(registry.folder / "log.jsonl"),
        "halves": [*half_files(store), *store.rglob("*.building"), *store.glob("scratch/*")],
    }


def copy_of(undisturbed: Path, tmp_path: Path, name: str) -> Path:
    return Path(shutil.copytree(undisturbed, tmp_path / name, symlinks=True))


@pytest.mark.parametrize("kills", [1, 2])
def test_a_refresh_killed_at_each_of_its_writes_ends_as_an_undisturbed_one(
    kills: int, root: Path, undisturbed: Path, server: dict[str, str], tmp_path: Path
) -> None:
    straight, store = (copy_of(undisturbed, tmp_path, name) for name in ("straight", "killed"))
    code, said = refresh(root, straight, **server)
    assert (code, "Promoted: v0002" in said) == (0, True), said
    for point in POINTS:
        for _ in range(1 if point in ONCE else kills):
            code, said = refresh(root, store, **server, COOKBOOK_FAULT=point)
            assert code == -signal.SIGKILL, (point, said)
    # The last kill came after all was done: a refresh now would be the next day's.
    assert outcome(store) == outcome(straight)


def test_a_refresh_does_not_replace_a_model_that_came_into_service_meanwhile(
    root: Path, undisturbed: Path, server: dict[str, str], tmp_path: Path
) -> None:
    """Its effects were compared with those of a version that a person took out while it ran."""
    store = copy_of(undisturbed, tmp_path, "runs")
    registry = registry_of(store)
    scorer = {"scorer": registry.model("v0001").file("scorer")}
    assert registry.register(scorer, {"by": "hand"}) == "v0002"
    armed = {"COOKBOOK_FAULT": "refreshed_effects:after_rename", "COOKBOOK_FAULT_SIGNAL": "SIGSTOP"}
    run = started(root, store, **server, **armed)
    process = psutil.Process(run.pid)
    wait_for(600, "the refresh's effects", lambda: process.status() == psutil.STATUS_STOPPED)
    registry.promote("v0002", reason="members complain", by="ana")
    run.send_signal(signal.SIGCONT)
    out, error = run.communicate()
    assert run.returncode == 0, error[-3000:]
    assert "Refused: v0003" in out
    assert registry.served_version() == "v0002"
    assert registry.log()[-1]["event"] == "refused"
    assert "compared with v0001, and meanwhile v0002" in registry.log()[-1]["reason"]
