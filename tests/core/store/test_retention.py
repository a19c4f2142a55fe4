"""What is old and needed by no kept run goes; registered models keep what they were made of."""

import json
import os
import time
from pathlib import Path

from tasks.core.store.registry import Registry
from tasks.core.store.retention import clear_expired

OLD = time.time() - 100 * 24 * 3600


def artifact(store: Path, digest: str) -> Path:
    folder = store / "artifacts" / "student" / digest
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    os.utime(folder, (OLD, OLD))
    return folder


def run(store: Path, name: str, digests: list[str], *, old: bool = True) -> Path:
    folder = store / "jobs" / "finished" / name
    folder.mkdir(parents=True)
    report = {"lineage": [{"step": "student", "digest": digest} for digest in digests]}
    (folder / "report.json").write_text(json.dumps(report))
    if old:
        os.utime(folder, (OLD, OLD))
    return folder


def test_old_runs_go_with_the_artifacts_that_they_alone_used(tmp_path: Path) -> None:
    shared, own, recent = (artifact(tmp_path, letter * 16) for letter in "abc")
    gone = run(tmp_path, "first", ["a" * 16, "b" * 16])
    kept = run(tmp_path, "second", ["a" * 16, "c" * 16], old=False)
    assert clear_expired(tmp_path, days=30) == sorted([gone, own])
    assert kept.exists() and shared.exists() and recent.exists()


def test_the_latest_run_stays_however_old(tmp_path: Path) -> None:
    own = artifact(tmp_path, "a" * 16)
    latest = run(tmp_path, "first", ["a" * 16])
    (tmp_path / "jobs" / "latest").symlink_to("finished/first")
    assert clear_expired(tmp_path, days=30) == []
    assert own.exists() and latest.exists()


def test_the_run_behind_a_registered_version_stays(tmp_path: Path) -> None:
    own, unused = artifact(tmp_path, "a" * 16), artifact(tmp_path, "d" * 16)
    run(tmp_path, "first", ["a" * 16])
    weights = tmp_path / "weights"
    weights.write_text("weights")
    Registry(tmp_path / "jobs" / "registry").register({"scorer/w": weights}, {"run": "a" * 16})
    assert clear_expired(tmp_path, days=30) == [unused]
    assert own.exists()


def test_what_is_younger_stays_though_no_run_used_it(tmp_path: Path) -> None:
    young = artifact(tmp_path, "a" * 16)
    os.utime(young)
    assert clear_expired(tmp_path, days=30) == []


def test_a_run_that_was_killed_before_its_report_goes_when_it_is_old(tmp_path: Path) -> None:
    folder = tmp_path / "jobs" / "finished" / "half"
    folder.mkdir(parents=True)
    assert clear_expired(tmp_path, days=30) == []
    os.utime(folder, (OLD, OLD))
    assert clear_expired(tmp_path, days=30) == [folder]
