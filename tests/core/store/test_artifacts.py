"""The artifact store: found again by its inputs, whole or absent, checked before use."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.store.artifacts import Artifact, Counts, Workbench, artifact_store, materialize


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Iterator[Path]:
    with artifact_store(tmp_path / "runs") as root:
        yield root


class Builder:
    """Writes one file and counts how often it had to."""

    def __init__(self, content: str = "rows") -> None:
        self.content = content
        self.built = 0

    def __call__(self, bench: Workbench) -> Counts:
        self.built += 1
        (bench.out / "deep").mkdir()
        (bench.out / "deep" / "table.txt").write_text(self.content)
        return {"rows": 1}


def make(build: Builder, **key: object) -> Artifact:
    arguments = {"settings": {"seed": 0}, "outside": {"golden": "ab"}, "source": "cd", **key}
    return materialize("pairs", build, **arguments)  # type: ignore[arg-type]


def test_the_same_inputs_are_built_once() -> None:
    build = Builder()
    first, second = make(build), make(build)
    assert build.built == 1
    assert (first.reused, second.reused) == (False, True)
    assert first.digest == second.digest
    assert first.content_digest == second.content_digest
    assert second.file("deep/table.txt").read_text() == "rows"
    assert second.counts == {"rows": 1}


def test_use_makes_an_artifact_young(store: Path) -> None:
    """By its age retention tells what nobody needs, also where no report names it."""
    made, other = make(build := Builder()), make(Builder(), source="other")
    for artifact in (made, other):
        os.utime(artifact.folder, (0, 0))
    assert make(build).reused
    assert time.time() - made.folder.stat().st_mtime < 3600
    assert other.folder.stat().st_mtime == 0


@pytest.mark.parametrize(
    "change", [{"settings": {"seed": 1}}, {"outside": {"golden": "ac"}}, {"source": "ce"}]
)
def test_any_changed_input_builds_anew(change: dict[str, object]) -> None:
    build = Builder()
    assert make(build).digest != make(build, **change).digest
    assert build.built == 2


def test_a_change_upstream_reaches_everything_below() -> None:
    build = Builder()
    first, other = make(build), make(build, source="other")
    below = [make(build, upstream=[one]) for one in (first, other)]
    assert below[0].digest != below[1].digest
    assert below[0].inputs == (first.digest,)


def test_the_kind_is_part_of_the_digest() -> None:
    key = {"settings": {}, "outside": {}, "source": ""}
    build = Builder()
    one = materialize("pairs", build, **key)  # type: ignore[arg-type]
    two = materialize("judgments", build, **key)  # type: ignore[arg-type]
    assert one.digest != two.digest


@pytest.mark.parametrize("damage", [b"row", b"rowz", b"", b"rows\n"])
def test_a_damaged_file_is_rebuilt_and_never_used(damage: bytes) -> None:
    build = Builder()
    path = make(build).file("deep/table.txt")
    path.write_bytes(damage)
    again = make(build)
    assert not again.reused
    assert path.read_text() == "rows"


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b"{}", b'{"files": 3}', b"\xff"])
def test_a_damaged_manifest_means_not_done(manifest: bytes) -> None:
    build = Builder()
    make(build).file("manifest.json").write_bytes(manifest)
    assert not make(build).reused
    assert make(build).reused


@pytest.mark.parametrize("name", ["kind", "digest", "key", "counts", "seconds", "files"])
def test_a_manifest_that_lost_a_part_means_not_done(name: str) -> None:
    build = Builder()
    path = make(build).file("manifest.json")
    rest = json.loads(path.read_text())
    rest["lost"] = rest.pop(name)
    path.write_text(json.dumps(rest))
    assert not make(build).reused
    assert make(build).reused


@pytest.mark.parametrize(
    "change",
    [{"kind": "pears"}, {"digest": "0" * 64}, {"key": {"upstream": None}}, {"key": []}],
)
def test_a_manifest_that_says_what_its_key_does_not_means_not_done(
    change: dict[str, object],
) -> None:
    build = Builder()
    path = make(build).file("manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    again = make(build)
    assert not again.reused
    assert again.digest == make(build).digest


def test_a_missing_and_an_added_file_mean_not_done() -> None:
    build = Builder()
    artifact = make(build)
    artifact.file("deep/table.txt").unlink()
    assert not make(build).reused
    artifact.file("extra").write_text("")
    assert not make(build).reused
    assert build.built == 3


def test_timings_are_no_part_of_the_content(store: Path) -> None:
    def build(seconds: str) -> Artifact:
        def write(bench: Workbench) -> Counts:
            (bench.out / "rows.txt").write_text("rows")
            (bench.out / "speed.measured.json").write_text(seconds)
            return {}

        return materialize("evaluation", write, settings={"try": seconds})

    assert build("1.0").content_digest == build("2.0").content_digest


def test_a_build_that_fails_leaves_nothing_that_looks_done(store: Path) -> None:
    def fail(bench: Workbench) -> Counts:
        (bench.out / "half.txt").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        materialize("pairs", fail, settings={})
    assert not list(store.glob("artifacts/pairs/*/manifest.json"))
    build = Builder()
    artifact = materialize("pairs", build, settings={})
    assert not artifact.file("half.txt").exists()


def test_scratch_outlives_a_failure_and_ends_with_success(store: Path) -> None:
    def build(bench: Workbench) -> Counts:
        checkpoint = bench.scratch / "step-10"
        if not checkpoint.exists():
            checkpoint.write_text("state")
            raise KeyboardInterrupt
        (bench.out / "model").write_text(checkpoint.read_text())
        return {}

    with pytest.raises(KeyboardInterrupt):
        materialize("student", build, settings={})
    artifact = materialize("student", build, settings={})
    assert artifact.file("model").read_text() == "state"
    assert not list((store / "scratch").iterdir())


def test_scratch_that_a_kill_left_beside_a_finished_artifact_goes_when_it_is_found(
    store: Path,
) -> None:
    build = Builder()
    kept = store / "scratch" / make(build).digest[:16]
    kept.mkdir()
    (kept / "checkpoint").write_text("weights")
    assert make(build).reused
    assert not kept.exists()


def test_an_artifact_is_small_and_has_a_json_form() -> None:
    artifact = make(Builder())
    assert len(json.dumps(vars(artifact))) < 1000


BUILD_ONE = """
import sys
from pathlib import Path
from tasks.core.store.artifacts import artifact_store, materialize
def build(bench):
    (bench.out / "a.txt").write_text("a" * 100)
    (bench.out / "b.txt").write_text("b" * 100)
    return {"rows": 2}
with artifact_store(Path(sys.argv[1])):
    artifact = materialize("pairs", build, settings={})
    print(artifact.content_digest, artifact.reused)
"""


def run_and_resume(tmp_path: Path, fault: str) -> tuple[str, str, str]:
    """Content of an undisturbed run; content after a kill and a second run; whether it reused."""

    def run(folder: str, armed: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        script = [sys.executable, "-c", BUILD_ONE, str(tmp_path / folder)]
        return subprocess.run(
            script, env=os.environ | armed, text=True, capture_output=True, check=False
        )

    undisturbed, _ = run("straight", {}).stdout.split()
    assert run("killed", {"COOKBOOK_FAULT": fault}).returncode == -9
    content, reused = run("killed", {}).stdout.split()
    return undisturbed, content, reused


def test_a_kill_while_the_manifest_is_written_leaves_the_same_content_after_resuming(
    tmp_path: Path,
) -> None:
    undisturbed, content, reused = run_and_resume(tmp_path, "before_rename")
    assert content == undisturbed
    assert reused == "False"


@pytest.mark.parametrize("point", ["before_build", "after_build", "after_manifest", "after_rename"])
def test_a_kill_at_any_point_of_a_build_leaves_the_same_content_after_resuming(
    tmp_path: Path, point: str
) -> None:
    undisturbed, content, reused = run_and_resume(tmp_path, f"pairs:{point}")
    assert content == undisturbed
    assert reused == str(point == "after_rename")
