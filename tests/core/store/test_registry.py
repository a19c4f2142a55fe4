"""The registry: whole versions, one pointer, decisions that are explained."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest

from tasks.core.errors import CookbookError
from tasks.core.store.registry import Registry
from tasks.core.store.withdrawal import withdrawal

START = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def scorer(tmp_path: Path) -> Path:
    folder = tmp_path / "scorer"
    (folder / "calibration").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights one")
    (folder / "calibration" / "bins.json").write_text("{}")
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry", now=Clock())


@contextmanager
def killed_before_the_pointer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is decided in the block stands in the log, and changes nothing else."""
    with monkeypatch.context() as patch:
        patch.setattr("tasks.core.store.registry.write_json", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            yield


def register(registry: Registry, scorer: Path, weights: str) -> str:
    (scorer / "model.safetensors").write_text(weights)
    return registry.register({"scorer": scorer}, {"weights": weights})


def offer(registry: Registry, scorer: Path, weights: str) -> str:
    """A candidate that passed the gates."""
    version = register(registry, scorer, weights)
    registry.offer(version, reason="passes every gate", by="run")
    return version


def test_a_version_holds_copies_that_outlive_their_source(registry: Registry, scorer: Path) -> None:
    version = register(registry, scorer, "one")
    (scorer / "model.safetensors").write_text("two")
    model = registry.model(version)
    assert version == "v0001"
    assert model.file("scorer/model.safetensors").read_text() == "one"
    assert model.card == {"weights": "one"}
    assert model.created == START


def test_the_same_files_and_card_are_the_same_version(registry: Registry, scorer: Path) -> None:
    assert register(registry, scorer, "one") == register(registry, scorer, "one") == "v0001"
    assert registry.register({"scorer": scorer}, {"weights": "other card"}) == "v0002"
    assert register(registry, scorer, "two") == "v0003"


def test_nothing_serves_before_a_promotion(registry: Registry, scorer: Path) -> None:
    offer(registry, scorer, "one")
    assert registry.current() is None
    assert registry.waiting() == ["v0001"]


def test_a_candidate_that_no_gate_has_judged_does_not_wait_and_is_not_approved(
    registry: Registry, scorer: Path
) -> None:
    version = register(registry, scorer, "one")
    assert registry.waiting() == []
    assert registry.undecided() == [version]
    with pytest.raises(CookbookError, match="held to no gate: run the cookbook again"):
        registry.approve(version, reason="looks good", by="ana")
    registry.refuse(version, reason="the run was a mistake", by="ana")
    assert registry.undecided() == []


def test_a_promotion_moves_the_pointer_and_says_why(registry: Registry, scorer: Path) -> None:
    version = register(registry, scorer, "one")
    registry.promote(version, reason="passes every gate", by="run")
    current = registry.current()
    assert current is not None
    assert current.version == version
    assert registry.waiting() == []
    assert registry.log()[-1] == {
        "at": "2026-01-31T08:00:00+00:00",
        "event": "promoted",
        "version": "v0001",
        "instead_of": None,
        "reason": "passes every gate",
        "by": "run",
    }


def test_promoting_the_model_in_service_changes_nothing(registry: Registry, scorer: Path) -> None:
    version = register(registry, scorer, "one")
    registry.promote(version, reason="first", by="run")
    registry.promote(version, reason="again", by="run")
    assert [entry["event"] for entry in registry.log()] == ["registered", "promoted"]


def test_rollbacks_step_back_through_what_served(registry: Registry, scorer: Path) -> None:
    for weights in ("one", "two", "three"):
        registry.promote(register(registry, scorer, weights), reason="better", by="run")
    assert registry.rollback(reason="members complain", by="ana").version == "v0002"
    assert registry.rollback(reason="still", by="ana").version == "v0001"
    with pytest.raises(CookbookError, match="served before"):
        registry.rollback(reason="further", by="ana")
    registry.promote("v0003", reason="it was the data", by="ana")
    assert registry.rollback(reason="no, it was not", by="ana").version == "v0001"


def test_the_same_rollback_given_twice_is_one(registry: Registry, scorer: Path) -> None:
    """A command killed after the pointer moved has said nothing, and is given again."""
    for weights in ("one", "two", "three"):
        registry.promote(register(registry, scorer, weights), reason="better", by="run")
    for _ in range(2):
        assert registry.rollback(reason="members complain", by="ana").version == "v0002"
    assert [entry["event"] for entry in registry.log()].count("rolled_back") == 1
    assert registry.rollback(reason="members complain", by="ben").version == "v0001"
    registry.promote("v0003", reason="it was the data", by="ana")
    assert registry.rollback(reason="members complain", by="ana").version == "v0001"


@pytest.mark.parametrize(
    "name", ["scorer/model.safetensors", "scorer/calibration/bins.json", "manifest.json"]
)
def test_a_damaged_file_is_never_served(registry: Registry, scorer: Path, name: str) -> None:
    model = registry.promote(register(registry, scorer, "one"), reason="first", by="run")
    path = model.file(name)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CookbookError, match=re.escape(path.name)):
        registry.current()


def test_a_missing_and_an_added_file_are_damage(registry: Registry, scorer: Path) -> None:
    model = registry.promote(register(registry, scorer, "one"), reason="first", by="run")
    added = model.file("scorer/extra.json")
    added.write_text("{}")
    with pytest.raises(CookbookError, match=r"extra\.json"):
        registry.current()
    added.unlink()
    model.file("scorer/model.safetensors").unlink()
    with pytest.raises(CookbookError, match=r"model\.safetensors"):
        registry.current()


@pytest.mark.parametrize("content", ["", "{", "[]", '"v0001"', '{"version": "v0001"}'])
def test_a_damaged_pointer_is_refused_and_mended_by_a_promotion(
    registry: Registry, scorer: Path, content: str
) -> None:
    version = register(registry, scorer, "one")
    registry.promote(version, reason="first", by="run")
    pointer = registry.folder / "current.json"
    pointer.write_text(content)
    with pytest.raises(CookbookError, match=r"current\.json"):
        registry.current()
    other = register(registry, scorer, "two")
    registry.promote(other, reason="mend", by="ana")
    current = registry.current()
    assert current is not None
    assert current.version == other


def test_rolling_back_to_a_damaged_version_keeps_the_one_in_service(
    registry: Registry, scorer: Path
) -> None:
    first = registry.promote(register(registry, scorer, "one"), reason="first", by="run")
    registry.promote(register(registry, scorer, "two"), reason="better", by="run")
    first.file("scorer/model.safetensors").write_text("altered")
    with pytest.raises(CookbookError, match=r"model\.safetensors"):
        registry.rollback(reason="members complain", by="ana")
    current = registry.current()
    assert current is not None
    assert current.version == "v0002"


def test_a_candidate_waits_until_someone_decides(registry: Registry, scorer: Path) -> None:
    first, second = (offer(registry, scorer, weights) for weights in ("one", "two"))
    assert registry.waiting() == [first, second]
    registry.refuse(first, reason="fairness", by="ana")
    registry.approve(second, reason="good", by="ana")
    assert registry.waiting() == []
    with pytest.raises(CookbookError, match="waits"):
        registry.approve(first, reason="second thoughts", by="ana")
    with pytest.raises(CookbookError, match="waits"):
        registry.refuse(second, reason="second thoughts", by="ana")


def test_a_candidate_that_is_too_old_is_refused(tmp_path: Path, scorer: Path) -> None:
    clock = Clock()
    registry = Registry(tmp_path / "registry", now=clock)
    version = offer(registry, scorer, "one")
    clock.time = START + timedelta(days=2)
    with pytest.raises(CookbookError, match="within 1 days"):
        registry.approve(version, reason="good", by="ana", maximum_age=timedelta(days=1))
    clock.time = START + timedelta(days=14, seconds=1)
    for asked in (14, 365):  # two weeks are the most, whatever is asked for
        with pytest.raises(CookbookError, match="within 14 days"):
            registry.approve(version, reason="good", by="ana", maximum_age=timedelta(days=asked))
    clock.time = START - timedelta(hours=1)  # a clock that was set back harms nobody
    assert registry.approve(version, reason="good", by="ana").version == version


def test_a_candidate_is_approved_only_against_the_model_it_was_compared_with(
    registry: Registry, scorer: Path
) -> None:
    first, second = (offer(registry, scorer, weights) for weights in ("one", "two"))
    registry.approve(second, reason="good", by="ana")
    with pytest.raises(CookbookError, match="compared with no model, and v0002"):
        registry.approve(first, reason="also good", by="ana")


def test_a_promotion_just_before_an_approval_gets_the_lock_is_not_overwritten(
    registry: Registry, scorer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (offer(registry, scorer, weights) for weights in ("one", "two"))
    run, alone = Registry(registry.folder, now=Clock()), registry.writing

    def after_the_run() -> AbstractContextManager[None]:
        run.promote(second, reason="gains", by="run")
        return alone()

    monkeypatch.setattr(registry, "writing", after_the_run)
    with pytest.raises(CookbookError, match="compared with no model, and v0002"):
        registry.approve(first, reason="good", by="ana")
    assert registry.served_version() == second


@pytest.fixture
def cut_off(registry: Registry, scorer: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """v0001 serves; the approval of v0002 ended between the log and the pointer."""
    registry.promote(register(registry, scorer, "one"), reason="first", by="run")
    version = offer(registry, scorer, "two")
    with killed_before_the_pointer(monkeypatch):
        registry.approve(version, reason="good", by="ana")
    assert (registry.served_version(), registry.log()[-1]["event"]) == ("v0001", "promoted")
    return registry


def test_an_approval_that_was_cut_off_waits_and_is_repeated(cut_off: Registry) -> None:
    assert cut_off.waiting() == cut_off.undecided() == ["v0002"]
    assert cut_off.approve("v0002", reason="good", by="ana").version == "v0002"
    assert cut_off.served_version() == "v0002"
    assert cut_off.waiting() == []
    assert cut_off.rollback(reason="worse", by="ana").version == "v0001"
    assert cut_off.waiting() == []


def test_an_approval_that_was_cut_off_may_be_taken_back_and_leaves_no_trace_in_rollbacks(
    cut_off: Registry, scorer: Path
) -> None:
    cut_off.refuse("v0002", reason="on second thoughts", by="ana")
    assert cut_off.waiting() == []
    cut_off.promote(register(cut_off, scorer, "three"), reason="gains", by="run")
    assert cut_off.rollback(reason="worse", by="ana").version == "v0001"


def test_an_approval_that_was_cut_off_ends_with_another_promotion(
    cut_off: Registry, scorer: Path
) -> None:
    cut_off.promote(register(cut_off, scorer, "three"), reason="gains", by="run")
    assert cut_off.waiting() == []
    with pytest.raises(CookbookError, match="waits"):
        cut_off.approve("v0002", reason="good", by="ana")
    # v0002 never served: nobody goes back to it.
    assert cut_off.rollback(reason="worse", by="ana").version == "v0001"


def test_a_torn_last_line_of_the_log_harms_neither_reading_nor_the_next_line(
    registry: Registry, scorer: Path
) -> None:
    register(registry, scorer, "one")
    log = registry.folder / "log.jsonl"
    log.write_bytes(log.read_bytes() + b'{"event": "promo')
    register(registry, scorer, "two")
    assert [entry["version"] for entry in registry.log()] == ["v0001", "v0002"]


def test_an_unknown_version_is_named_with_those_that_exist(
    registry: Registry, scorer: Path
) -> None:
    register(registry, scorer, "one")
    with pytest.raises(CookbookError, match=r"one of v0001; came '\.\./v0001'"):
        registry.model("../v0001")


def test_the_registry_is_its_owners_alone(registry: Registry, scorer: Path) -> None:
    register(registry, scorer, "one")
    assert registry.folder.stat().st_mode & 0o077 == 0


PROMOTE_TWICE = """
import sys
from pathlib import Path
from tasks.core.store.registry import Registry
from tasks.core.store.withdrawal import withdrawal
registry, scorer = Registry(Path(sys.argv[1]) / "registry"), Path(sys.argv[1]) / "scorer"
for weights in ("one", "two"):
    (scorer / "model.safetensors").write_text(weights)
    version = registry.register({"scorer": scorer}, {})
    registry.promote(version, reason="test", by="run")
"""


@pytest.mark.parametrize(
    "point",
    [
        "registry_after_copy",
        "registry_after_register",
        "registry_before_pointer",
        "before_rename",
        "registry_after_pointer",
    ],
)
def test_a_kill_during_a_promotion_leaves_the_old_model_or_the_new_one(
    tmp_path: Path, scorer: Path, point: str
) -> None:
    script = [sys.executable, "-c", PROMOTE_TWICE, str(tmp_path)]
    for passing in (1, 2, 3):
        armed = {**os.environ, "COOKBOOK_FAULT": f"{point}:{passing}"}
        killed = subprocess.run(script, env=armed, check=False).returncode
        assert killed == -9 or passing > 1
        current = Registry(tmp_path / "registry").current()
        assert current is None or current.version in ("v0001", "v0002")
    subprocess.run(script, check=True)
    registry = Registry(tmp_path / "registry")
    final = registry.current()
    assert final is not None
    assert final.file("scorer/model.safetensors").read_text() == "two"
    assert registry.versions() == ["v0001", "v0002"]
    assert {"registered", "promoted"} == {entry["event"] for entry in registry.log()}
    assert not list((tmp_path / "registry" / "versions").glob(".*"))


def test_a_reader_never_sees_a_half_written_pointer(registry: Registry, scorer: Path) -> None:
    for weights in ("one", "two"):
        register(registry, scorer, weights)
    flip = (
        "import sys; from pathlib import Path; from tasks.core.store.registry import Registry\n"
        "r = Registry(Path(sys.argv[1]))\n"
        "for i in range(40): r.promote(f'v000{1 + i % 2}', reason='flip', by='test')\n"
    )
    registry.promote("v0002", reason="first", by="test")
    writer = subprocess.Popen([sys.executable, "-c", flip, str(registry.folder)])
    seen = set()
    while writer.poll() is None:
        seen.add(json.loads((registry.folder / "current.json").read_text())["version"])
    assert writer.returncode == 0
    assert seen <= {"v0001", "v0002"}


def test_a_candidate_that_is_offered_anew_counts_as_compared_anew(
    tmp_path: Path, scorer: Path
) -> None:
    clock = Clock()
    registry = Registry(tmp_path / "registry", now=clock)
    first = register(registry, scorer, "one")
    second = offer(registry, scorer, "two")
    registry.refuse(first, reason="below a gate", by="run")
    registry.approve(second, reason="good", by="ana")
    clock.time = START + timedelta(days=30)
    registry.offer(first, reason="the gate was lowered", by="run")
    assert registry.waiting() == [first]
    assert registry.approve(first, reason="good", by="ana").version == first


@pytest.mark.parametrize("damage", ["17", "{}", '"text"', "[1", "null"])
def test_a_damaged_line_of_the_log_is_passed_over(
    registry: Registry, scorer: Path, damage: str
) -> None:
    version = register(registry, scorer, "one")
    log = registry.folder / "log.jsonl"
    log.write_text(f"{damage}\n{log.read_text()}")
    assert [entry["version"] for entry in registry.log()] == [version]
    registry.promote(version, reason="still works", by="ana")
    assert registry.served_version() == version


def test_a_decision_that_the_disk_took_half_of_is_not_reported_as_done(
    registry: Registry, scorer: Path
) -> None:
    """A full disk may take a part of a line and call it a success, as a limit of size does."""
    version = offer(registry, scorer, "one")
    log = registry.folder / "log.jsonl"
    before = log.read_bytes()
    refuse = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from tasks.core.store.registry import Registry\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 10},) * 2)\n"
        "try:\n    Registry(Path(sys.argv[1])).refuse(sys.argv[2], reason='no', by='ana')\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", refuse, str(registry.folder), version],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "No space left on device\n"
    assert log.read_bytes() == before
    assert registry.waiting() == [version]


def test_the_name_of_a_version_that_was_removed_by_hand_is_not_given_again(
    registry: Registry, scorer: Path
) -> None:
    """What a person decided about it would be taken for a word about the new one."""
    for weights in ("one", "two"):
        version = offer(registry, scorer, weights)
    registry.refuse(version, reason="members complain", by="ana")
    shutil.rmtree(registry.folder / "versions" / version)
    made = offer(registry, scorer, "three")
    assert (version, made) == ("v0002", "v0003")
    assert withdrawal(registry, made) is None


def test_a_pointer_that_is_lost_is_not_taken_for_a_first_model(
    registry: Registry, scorer: Path
) -> None:
    """The next run would compare with nothing, and serve on the absolute gates alone."""
    for weights in ("one", "two"):
        registry.promote(register(registry, scorer, weights), reason="better", by="run")
    (registry.folder / "current.json").unlink()
    with pytest.raises(CookbookError, match=r"current\.json must be as it was .* Promote another"):
        registry.current()
    registry.promote("v0002", reason="it served", by="ana")
    assert registry.current() == registry.model("v0002")


def test_a_rollback_goes_back_to_what_served_when_the_pointer_was_lost(
    registry: Registry, scorer: Path
) -> None:
    for weights in ("one", "two"):
        registry.promote(register(registry, scorer, weights), reason="better", by="run")
    register(registry, scorer, "three")  # finds v0002 in service
    (registry.folder / "current.json").unlink()
    registry.promote("v0003", reason="the pointer is gone", by="ana")
    assert registry.rollback(reason="worse", by="ana").version == "v0002"
    assert registry.rollback(reason="worse still", by="ana").version == "v0001"


def test_a_first_promotion_that_was_cut_off_is_passed_over_by_rollbacks(
    registry: Registry, scorer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = register(registry, scorer, "one")
    with killed_before_the_pointer(monkeypatch):
        registry.promote(version, reason="first", by="run")
    registry.promote(register(registry, scorer, "two"), reason="better", by="run")
    with pytest.raises(CookbookError, match="there is none"):
        registry.rollback(reason="worse", by="ana")


def test_a_first_promotion_that_was_cut_off_leaves_no_model(
    registry: Registry, scorer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = register(registry, scorer, "one")
    with killed_before_the_pointer(monkeypatch):
        registry.promote(version, reason="first", by="run")
    register(registry, scorer, "two")
    assert registry.current() is None
