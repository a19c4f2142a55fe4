"""A disk that is full when a command writes: it says so, spoils nothing, and goes on with room."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.small_disk import filled, grow, names_the_full_disk
from tests.faults.small_store import DOMAIN, scorer, small_store, state
from tests.faults.test_refresh_kills import outcome, refresh, started
from tests.flows.smoke import COOKBOOK, PROJECT, half_files

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
# What changes the small store, and whether it can give room before it needs some.
COMMANDS = {
    "promote": "models promote v0002 --reason better",
    "rollback": "models rollback --reason complaints",
    "export": "models export v0002 {case}/out",
    "clean": "clean --days 30 --journal-days 30",
    "forget": "forget m1 --root {case}/root",
}


def cookbook(words: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COOKBOOK, *words], cwd=PROJECT, capture_output=True, text=True, check=False
    )


def case_of(folder: Path) -> Path:
    small_store(folder / "runs")
    scorer(folder / "scorer", "one")
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_on_a_full_disk_leaves_what_was_there_or_what_it_should(
    name: str, small_disk: Path, tmp_path: Path
) -> None:
    def give(case: Path) -> "subprocess.CompletedProcess[str]":
        words = COMMANDS[name].format(case=case).split()
        words += ["--store", str(case / "runs")]
        return cookbook(words if name == "clean" else [*words, "--domain", DOMAIN])

    kept = case_of(tmp_path / "kept")
    undisturbed = Path(shutil.copytree(kept, tmp_path / "undisturbed", symlinks=True))
    assert give(undisturbed).returncode == 0
    case = Path(shutil.copytree(kept, small_disk / "case", symlinks=True))
    with filled(small_disk):
        stopped = give(case)
        served = (case / "runs" / DOMAIN / "registry" / "current.json").read_bytes()
    if stopped.returncode:
        assert stopped.returncode == 2, stopped.stderr[-2000:]
        assert names_the_full_disk(stopped.stderr), stopped.stderr
        assert served == (kept / "runs" / DOMAIN / "registry" / "current.json").read_bytes()
        assert not (case / "out").exists()
        assert give(case).returncode == 0
    assert state(case) == state(undisturbed)


def test_scores_that_find_no_room_leave_no_file(
    root: Path, undisturbed: Path, small_disk: Path, tmp_path: Path
) -> None:
    pairs, target = tmp_path / "pairs.jsonl", small_disk / "scores.jsonl"
    pair = {"query_id": "1", "query": "nurse", "title": "Nurse", "text": "Night shifts."}
    pairs.write_text("".join(json.dumps(pair | {"n": n}) + "\n" for n in range(2000)))
    words = ["score", "--input", str(pairs), "--output", str(target)]
    words += ["--root", str(root), "--store", str(undisturbed)]
    with filled(small_disk):
        stopped = cookbook(words)
        assert stopped.returncode == 2, stopped.stderr[-2000:]
        assert names_the_full_disk(stopped.stderr), stopped.stderr
        assert [path.name for path in small_disk.iterdir()] == ["filler"]
    target.write_text("yesterday's\n")
    with filled(small_disk):
        assert cookbook(words).returncode == 2
        assert target.read_text() == "yesterday's\n"
    grow(small_disk)
    assert cookbook(words).returncode == 0
    assert len(target.read_text().splitlines()) == 2000


@pytest.mark.parametrize(
    "point",
    [
        "effects:shard",
        "refreshed_effects:before_build",
        "refreshed_effects:after_build",
        "registry_after_copy",
        "registry_before_pointer",
    ],
)
def test_a_refresh_on_a_full_disk_ends_as_an_undisturbed_one_when_there_is_room(
    point: str,
    root: Path,
    undisturbed: Path,
    server: dict[str, str],
    small_disk: Path,
    tmp_path: Path,
) -> None:
    grow(small_disk)
    straight = Path(shutil.copytree(undisturbed, tmp_path / "straight", symlinks=True))
    store = Path(shutil.copytree(undisturbed, small_disk / "runs", symlinks=True))
    assert refresh(root, straight, **server)[0] == 0
    held = {"COOKBOOK_FAULT": point, "COOKBOOK_FAULT_SIGNAL": signal.SIGSTOP.name}
    run = started(root, store, **server, **held)
    while run.poll() is None and psutil.Process(run.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.05)
    with filled(small_disk):
        run.send_signal(signal.SIGCONT)
        _, error = run.communicate()
    assert run.returncode == 2, error[-2000:]
    assert names_the_full_disk(error), error
    assert half_files(store) == []
    assert refresh(root, store, **server)[0] == 0
    assert outcome(store) == outcome(straight)
