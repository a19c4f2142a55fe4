"""What is old and needed by no kept run goes; registered models keep what they were made of."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import CookbookError
from tasks.core.forgetting import forget_member
from tasks.core.store import retention
from tasks.core.store.leftovers import remove_leftovers
from tasks.core.store.registry import Registry
from tasks.core.store.retention import clear_expired
from tasks.core.store.versions import read_manifest

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


def versions(store: Path, *weights: str) -> Registry:
    """Versions made long ago, each promoted after the other."""
    registry = Registry(store / "jobs" / "registry")
    for weight in weights:
        (store / "weights").write_text(weight)
        version = registry.register({"scorer/w": store / "weights"}, {"weight": weight})
        registry.promote(version, reason="gains", by="run")
        os.utime(registry.folder / "versions" / version / "manifest.json", (OLD, OLD))
    return registry


def test_of_old_versions_the_one_in_service_and_the_one_before_it_stay(tmp_path: Path) -> None:
    registry = versions(tmp_path, "one", "two", "three")
    assert clear_expired(tmp_path, days=30) == [registry.folder / "versions" / "v0001"]
    assert registry.rollback(reason="worse", by="ana").version == "v0002"
    with pytest.raises(CookbookError, match="removed as too old"):
        registry.promote("v0001", reason="the oldest was best", by="ana")
    assert registry.served_version() == "v0002"


def test_who_decides_while_versions_are_removed_waits_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run would end as failed, after it had promoted."""
    registry = versions(tmp_path, "one", "two", "three")
    told: list[str] = []

    def decide() -> None:
        try:
            Registry(registry.folder).promote("v0001", reason="the first was best", by="ana")
        except CookbookError as error:
            told.append(str(error))

    person = threading.Thread(target=decide)

    def meanwhile(folder: Path) -> dict[str, Any]:
        if person.ident is None:
            person.start()
            person.join(1)
        return read_manifest(folder)

    monkeypatch.setattr(retention, "read_manifest", meanwhile)
    gone = clear_expired(tmp_path, days=30)
    person.join(10)
    assert gone == [registry.folder / "versions" / "v0001"]
    assert registry.served_version() == "v0003"
    assert "removed as too old" in told[0]


def test_a_candidate_that_waits_stays_and_a_young_version_too(tmp_path: Path) -> None:
    registry = versions(tmp_path, "one", "two", "three")
    registry.offer("v0001", reason="compared anew", by="run")
    assert clear_expired(tmp_path, days=30) == []
    registry.refuse("v0001", reason="no", by="ana")
    os.utime(registry.folder / "versions" / "v0001" / "manifest.json")
    assert clear_expired(tmp_path, days=30) == []


def test_a_version_whose_files_went_comes_back_under_its_own_name(tmp_path: Path) -> None:
    """Under a new name a run would serve again what a person has taken out."""
    registry = versions(tmp_path, "one", "two", "three")
    clear_expired(tmp_path, days=30)
    (tmp_path / "weights").write_text("one")
    assert registry.register({"scorer/w": tmp_path / "weights"}, {"weight": "one"}) == "v0001"
    assert registry.model("v0001").file("scorer/w").read_text() == "one"
    assert registry.undecided() == ["v0001"]  # a candidate again, to be decided about anew


def test_what_made_a_version_without_files_goes_too(tmp_path: Path) -> None:
    own = artifact(tmp_path, "a" * 16)
    made = run(tmp_path, "first", ["a" * 16])
    registry = Registry(tmp_path / "jobs" / "registry")
    (tmp_path / "weights").write_text("zero")
    registry.register({"scorer/w": tmp_path / "weights"}, {"run": "a" * 16})
    registry.refuse("v0001", reason="no", by="run")
    os.utime(registry.folder / "versions" / "v0001" / "manifest.json", (OLD, OLD))
    gone = clear_expired(tmp_path, days=30)
    assert gone == sorted([own, made, registry.folder / "versions" / "v0001"])
    assert registry.versions() == ["v0001"]


def test_a_rollback_passes_over_what_has_no_files(tmp_path: Path) -> None:
    registry = versions(tmp_path, "one", "two", "three")
    clear_expired(tmp_path, days=30)
    registry.rollback(reason="worse", by="ana")
    with pytest.raises(CookbookError, match="there is none"):
        registry.rollback(reason="worse too", by="ana")


def test_a_damaged_version_is_kept_and_named(tmp_path: Path) -> None:
    """A run with retention_days would end in error after it promoted, for good."""
    registry = versions(tmp_path, "one", "two", "three")
    made, other = run(tmp_path, "first", ["a" * 16]), run(tmp_path, "second", ["b" * 16])
    manifest = registry.folder / "versions" / "v0001" / "manifest.json"
    manifest.write_text("{")
    os.utime(manifest, (OLD, OLD))
    told: list[str] = []
    assert clear_expired(tmp_path, days=30, say=told.append) == []
    assert made.exists() and other.exists()  # each may have made it
    assert all(str(manifest) in one for one in told) and len(told) == 2
    manifest.unlink()
    assert clear_expired(tmp_path, days=30, say=told.append) == []
    assert registry.model("v0003").version == "v0003"


@pytest.mark.parametrize("content", ["", '{"lineage": [{"dig', "[]", "{}", '{"lineage": [1]}'])
def test_a_run_with_a_damaged_report_may_have_used_every_artifact(
    tmp_path: Path, content: str
) -> None:
    own = artifact(tmp_path, "a" * 16)
    damaged = run(tmp_path, "first", [], old=False)
    (damaged / "report.json").write_text(content)
    os.utime(damaged)
    told: list[str] = []
    assert clear_expired(tmp_path, days=30, say=told.append) == []
    assert len(told) == 1 and str(damaged / "report.json") in told[0]
    os.utime(damaged, (OLD, OLD))
    assert clear_expired(tmp_path, days=30, say=told.append) == sorted([own, damaged])


def test_checkpoints_that_no_run_went_on_with_go_and_those_still_written_stay(
    tmp_path: Path,
) -> None:
    stale, resumed = (tmp_path / "scratch" / name for name in ("stale", "resumed"))
    for folder in (stale, resumed):
        (folder / "checkpoint").mkdir(parents=True)
        (folder / "checkpoint" / "weights").write_text("weights")
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (OLD, OLD))
    os.utime(resumed / "checkpoint" / "weights")
    assert clear_expired(tmp_path, days=30) == [stale]
    assert resumed.exists() and not stale.exists()


def test_nobody_loses_all_runs_to_a_clock_that_jumped(tmp_path: Path) -> None:
    """Seen from a year ahead every run but the latest is too old."""
    own = artifact(tmp_path, "a" * 16)
    earlier = [run(tmp_path, name, ["a" * 16]) for name in ("first", "second")]
    run(tmp_path, "third", [], old=False)
    (tmp_path / "jobs" / "latest").symlink_to("finished/third")
    told: list[str] = []
    assert clear_expired(tmp_path, days=30, say=told.append, unattended=True) == []
    assert len(told) == 1 and "`cookbook clean --days 30` removes them" in told[0]
    assert clear_expired(tmp_path, days=30) == sorted([own, *earlier])


def test_a_file_among_the_artifacts_is_somebody_elses_and_stops_nothing(tmp_path: Path) -> None:
    """A network disk renames so what is still open; no artifact is a file."""
    old = artifact(tmp_path, "a" * 16)
    for name in (".nfs0001", "lost.building"):
        (old.parent / name).write_text("")
        os.utime(old.parent / name, (OLD, OLD))
    assert remove_leftovers(tmp_path) == []
    assert clear_expired(tmp_path, days=30) == [old]
    forget_member(tmp_path, "jobs", "m1")
    assert sorted(path.name for path in old.parent.iterdir()) == [".nfs0001", "lost.building"]


def test_without_a_jump_old_runs_go_unattended(tmp_path: Path) -> None:
    gone = [run(tmp_path, name, []) for name in ("first", "second")]
    run(tmp_path, "third", [], old=False)
    run(tmp_path, "fourth", [], old=False)
    (tmp_path / "jobs" / "latest").symlink_to("finished/fourth")
    assert clear_expired(tmp_path, days=30, unattended=True) == sorted(gone)


def test_the_only_earlier_run_goes_unattended(tmp_path: Path) -> None:
    """As where runs are further apart than the days that they are kept."""
    gone = run(tmp_path, "first", [])
    run(tmp_path, "second", [], old=False)
    (tmp_path / "jobs" / "latest").symlink_to("finished/second")
    assert clear_expired(tmp_path, days=30, unattended=True) == [gone]
