"""What killed commands left goes; what is at work, and what only looks alike, stays."""

from pathlib import Path

from tasks.core.store.leftovers import REPRODUCTION, remove_leftovers
from tasks.core.store.lock import run_lock


def test_killed_reproductions_go_and_one_at_work_stays(tmp_path: Path) -> None:
    killed, at_work = tmp_path / f"{REPRODUCTION}a", tmp_path / f"{REPRODUCTION}b"
    earlier = tmp_path / "reproduce-c"  # its name in earlier versions
    for journal in (killed / "store/jobs/labels", earlier / "jobs/labels"):
        journal.mkdir(parents=True)
        (journal / "journal.jsonl").write_text("answers")
    with run_lock(at_work):
        assert remove_leftovers(tmp_path) == [killed, earlier]
        assert at_work.exists()
    assert remove_leftovers(tmp_path) == [at_work]


def test_a_domain_of_a_like_name_keeps_the_labels_that_it_paid_for(tmp_path: Path) -> None:
    journal = tmp_path / "reproduce-more" / "labels" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text("answers")
    (tmp_path / "reproduce-more" / "finished" / "ab").mkdir(parents=True)
    assert remove_leftovers(tmp_path) == []
    assert journal.read_text() == "answers"


def test_half_built_artifacts_go_and_whole_ones_stay(tmp_path: Path) -> None:
    whole, half = (tmp_path / "artifacts" / "pairs" / name for name in ("ab", "cd.building"))
    for folder in (whole, half):
        folder.mkdir(parents=True)
    assert remove_leftovers(tmp_path) == [half]
    assert whole.exists()


def test_files_that_a_writer_was_killed_over_go_and_whole_ones_stay(tmp_path: Path) -> None:
    folders = (".", "labels", "finished/ab", "registry", "registry/versions/.v0002.building")
    for folder in folders:
        (tmp_path / "jobs" / folder).mkdir(parents=True)
    whole = tmp_path / "jobs" / "labels" / "journal.jsonl"
    for name in ("labels/journal.jsonl", *(f"{one}/.one.json.7.tmp" for one in folders)):
        (tmp_path / "jobs" / name).write_text("{")
    (tmp_path / "jobs" / "finished" / "cd.building").mkdir()
    (tmp_path / "jobs" / ".latest.7").symlink_to("finished/ab")
    remove_leftovers(tmp_path)
    left = sorted(path for path in (tmp_path / "jobs").rglob("*") if path.is_file())
    assert left == [whole, tmp_path / "jobs" / "registry" / "lock"]
    assert not list((tmp_path / "jobs").glob(".latest.*"))
    assert sorted(path.name for path in (tmp_path / "jobs" / "finished").iterdir()) == ["ab"]


def test_checkpoints_that_were_half_removed_go(tmp_path: Path) -> None:
    half = tmp_path / "scratch" / "ab.building"
    half.mkdir(parents=True)
    (tmp_path / "scratch" / "cd").mkdir()
    assert remove_leftovers(tmp_path) == [half]
