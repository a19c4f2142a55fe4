"""What differs between two runs, and nothing else; what a version was made from."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import CookbookError
from tasks.core.inspection import FinishedRun, compare, compare_with_recorded, run_behind
from tasks.core.store.artifacts import Artifact, Counts, Workbench, artifact_store, materialize
from tasks.core.store.registry import Registry
from tasks.core.store.versions import Model


def run(seed: int = 0, ndcg: float = 0.5, seconds: float = 1.0) -> FinishedRun:
    report: dict[str, Any] = {
        "tiers": [{"role": "student", "golden": {"ndcg_at_10": ndcg}}],
        "seconds_by_step": {"student": seconds},
    }
    manifest = {"settings": {"student": {"training": {"seed": seed}}}, "artifacts": {"a": "x"}}
    return FinishedRun(report, manifest, Path())


def test_equal_runs_do_not_differ_by_their_timings() -> None:
    assert compare(run(), run(seconds=2.0)) == []


def test_settings_come_first_and_results_are_named_by_role() -> None:
    assert compare(run(), run(seed=1, ndcg=0.25)) == [
        "setting student.training.seed: 0 -> 1",
        "tiers[student].golden.ndcg_at_10: 0.5 -> 0.25",
    ]


def test_a_folder_without_a_finished_run_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CookbookError, match=r"report\.json"):
        FinishedRun.load(tmp_path)


def test_reports_that_were_copied_out_of_their_store_are_compared_too(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"tiers": []}')
    (tmp_path / "manifest.json").write_text('{"settings": {}, "artifacts": {}}')
    one = FinishedRun.load(tmp_path)
    assert compare(one, FinishedRun.load(tmp_path)) == []


def make(store: Path, weights: str = "w", seed: int = 0) -> list[Artifact]:
    """Pairs, and a calibrated scorer made from them."""

    def build(bench: Workbench) -> Counts:
        (bench.out / "scorer").mkdir()
        (bench.out / "scorer" / "model").write_text(weights)
        return {}

    with artifact_store(store):
        pairs = materialize("pairs", lambda bench: {}, settings={"seed": seed})
        return [pairs, materialize("calibrated_student", build, settings={}, upstream=[pairs])]


@pytest.fixture
def registered(tmp_path: Path) -> tuple[Path, Model]:
    """A store with a finished run and the version that it registered."""
    store = tmp_path / "runs"
    artifacts = make(store)
    lineage = [{"step": one.kind, "digest": one.digest[:16]} for one in artifacts]
    folder = store / "jobs" / "finished" / "ab"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"run_key": "ab", "lineage": lineage}))
    contents = {one.kind: [one.content_digest] for one in artifacts}
    (folder / "manifest.json").write_text(json.dumps({"artifacts": contents}))
    registry = Registry(store / "jobs" / "registry")
    card = {"run": artifacts[-1].digest[:16]}
    version = registry.register({"scorer": artifacts[-1].file("scorer")}, card)
    return store, registry.model(version)


def test_the_run_behind_a_version_is_found_past_one_that_never_finished(
    registered: tuple[Path, Model],
) -> None:
    store, model = registered
    (store / "jobs" / "finished" / "aa").mkdir()
    assert run_behind(store, "jobs", model).report["run_key"] == "ab"


def test_of_several_runs_behind_a_version_the_newest_is_told(
    registered: tuple[Path, Model],
) -> None:
    store, model = registered
    finished = store / "jobs" / "finished"
    report = json.loads((finished / "ab" / "report.json").read_text())
    for name, age in (("aa", 50), ("zz", 100)):
        (finished / name).mkdir()
        (finished / name / "report.json").write_text(json.dumps(report | {"run_key": name}))
        (finished / name / "manifest.json").write_text("{}")
        os.utime(finished / name / "manifest.json", (age, age))
    assert run_behind(store, "jobs", model).report["run_key"] == "ab"
    os.utime(finished / "ab" / "manifest.json", (10, 10))
    assert run_behind(store, "jobs", model).report["run_key"] == "zz"


@pytest.mark.parametrize("report", ["{", "[]", '{"lineage": 3}', '{"lineage": [{}]}'])
def test_another_runs_damaged_report_keeps_nobody_from_a_versions_own(
    registered: tuple[Path, Model], report: str
) -> None:
    store, model = registered
    other = store / "jobs" / "finished" / "zz"
    other.mkdir()
    (other / "report.json").write_text(report)
    (other / "manifest.json").write_text("{}")
    future = time.time() + 60
    os.utime(other / "manifest.json", (future, future))
    assert run_behind(store, "jobs", model).report["run_key"] == "ab"


def test_a_version_whose_run_is_gone_says_so(registered: tuple[Path, Model]) -> None:
    store, model = registered
    (store / "jobs" / "finished" / "ab" / "manifest.json").unlink()
    with pytest.raises(CookbookError, match="Restore that folder"):
        run_behind(store, "jobs", model)


def test_the_same_inputs_and_content_reproduce_a_version(
    registered: tuple[Path, Model], tmp_path: Path
) -> None:
    store, model = registered
    make(tmp_path / "again")
    found = compare_with_recorded(run_behind(store, "jobs", model), tmp_path / "again", model)
    assert (found.new_inputs, found.new_contents, found.new_files) == ([], [], [])


def test_other_content_of_the_same_inputs_is_named_by_step_and_file(
    registered: tuple[Path, Model], tmp_path: Path
) -> None:
    store, model = registered
    make(tmp_path / "again", weights="other")
    found = compare_with_recorded(run_behind(store, "jobs", model), tmp_path / "again", model)
    assert (found.new_inputs, found.new_contents) == ([], ["calibrated_student"])
    assert found.new_files == ["scorer/model"]


def test_other_inputs_are_named_though_the_files_come_out_the_same(
    registered: tuple[Path, Model], tmp_path: Path
) -> None:
    store, model = registered
    make(tmp_path / "again", seed=1)
    found = compare_with_recorded(run_behind(store, "jobs", model), tmp_path / "again", model)
    assert found.new_inputs == ["pairs", "calibrated_student"]
    assert (found.new_contents, found.new_files) == ([], [])
