"""A run that the disk cannot hold is refused, and what lies there already counts."""

import shutil
import threading
from pathlib import Path

import pytest

from tasks.core.errors import CookbookError
from tasks.core.store.room import check_room, free_bytes, in_words, missing_bytes


@pytest.fixture
def thousand_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with 1,000 bytes free."""
    usage = type(shutil.disk_usage("/"))(10_000, 9_000, 1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def passes(store: Path, needed: int) -> bool:
    try:
        check_room(store, needed)
    except CookbookError:
        return False
    return True


@pytest.mark.usefixtures("thousand_free")
def test_the_last_free_byte_may_be_used(tmp_path: Path) -> None:
    assert passes(tmp_path, 1_000)
    assert not passes(tmp_path, 1_001)


@pytest.mark.usefixtures("thousand_free")
def test_artifacts_that_lie_there_need_no_room_again(tmp_path: Path) -> None:
    scorer = tmp_path / "artifacts" / "student" / "ab" / "model.safetensors"
    scorer.parent.mkdir(parents=True)
    scorer.write_bytes(bytes(500))
    assert passes(tmp_path, 1_500)
    assert not passes(tmp_path, 1_501)


@pytest.mark.usefixtures("thousand_free")
def test_the_message_says_how_much_is_needed_and_free_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CookbookError, match=r"needs about 5\.0 GiB .*0 MiB are free\. Make room"):
        check_room(tmp_path, 5 * 2**30)


def test_a_store_that_is_not_there_yet_is_measured_where_it_will_lie(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "there") == pytest.approx(free_bytes(tmp_path), rel=0.1)


@pytest.mark.parametrize(("count", "words"), [(0, "0 MiB"), (2**30, "1.0 GiB"), (2**21, "2 MiB")])
def test_sizes_are_in_units_that_people_read(count: int, words: str) -> None:
    assert in_words(count) == words


def test_a_store_that_a_run_is_writing_to_is_measured_all_the_same(tmp_path: Path) -> None:
    """`plan`, `doctor` and a run that is about to be refused look at it without holding it."""
    folders = [tmp_path / "artifacts" / "pairs" / f"{number}" for number in range(200)]
    for folder in folders:
        (folder / "deep").mkdir(parents=True)
    done = threading.Event()

    def rename() -> None:
        while not done.is_set():
            for folder in folders:
                folder.rename(folder.with_suffix(".building"))
            for folder in folders:
                folder.with_suffix(".building").rename(folder)

    run = threading.Thread(target=rename)
    run.start()
    try:
        assert {missing_bytes(tmp_path, 10) for _ in range(20)} == {10}
    finally:
        done.set()
        run.join()
