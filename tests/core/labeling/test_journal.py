"""What was paid for survives any end of the process, and damage is never taken for a label."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.errors import CookbookError
from tasks.core.labeling.journal import Failure, Journal
from tasks.core.labeling.replies import Reply

KEYS = [f"{number:064x}" for number in range(1, 400)]


def reply(text: str) -> Reply:
    return Reply(text=text, model="m", finish_reason="stop", grade_logprobs={"2": -0.5})


def pay(journal: Journal, key: str, text: str, usd: float = 0.5) -> None:
    journal.intend(key, pair_id="p", usd=1.0, run="r", billed=True)
    journal.answer(key, reply(text), usd=usd, run="r")


def test_an_answer_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    hostile = 'line\nbreak \ud800 "quote" {"__class__": "x"} \u2028'
    with Journal(tmp_path / "j") as journal:
        pay(journal, KEYS[0], hostile)
        assert journal.result(KEYS[0]) == reply(hostile)
    with Journal(tmp_path / "j") as journal:
        assert journal.result(KEYS[0]) == reply(hostile)
        assert journal.result(KEYS[1]) is None


def test_a_torn_last_line_is_dropped_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        pay(journal, KEYS[0], "first")
        pay(journal, KEYS[1], "last")
    whole = path.read_bytes()
    last = len(whole) - len(whole.splitlines(keepends=True)[-1])
    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        with Journal(path) as journal:
            assert journal.result(KEYS[0]) == reply("first")
            assert KEYS[1] not in journal
            assert journal.perhaps_billed_in_crash == 1
            pay(journal, KEYS[1], "again")
        with Journal(path) as journal:
            assert journal.result(KEYS[1]) == reply("again")
            assert journal.perhaps_billed_in_crash == 0


def test_a_damaged_middle_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        for key in KEYS[:3]:
            pay(journal, key, "grade 2")
    lines = path.read_bytes().splitlines(keepends=True)
    # Still valid JSON: only the checksum can tell that a 2 became a 3.
    lines[3] = lines[3].replace(b"grade 2", b"grade 3")
    path.write_bytes(b"".join(lines))
    with pytest.raises(CookbookError, match="line 4"):
        Journal(path)


def test_an_intent_without_an_outcome_is_counted_once_as_perhaps_billed(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.intend(KEYS[0], pair_id="p", usd=0.25, run="r", billed=True)
        journal.intend(KEYS[1], pair_id="p", usd=0.0, run="r", billed=False)
    with Journal(tmp_path / "j") as journal:
        assert journal.perhaps_billed_in_crash == 1
        assert journal.spent_usd("r") == 0.25
    with Journal(tmp_path / "j") as journal:
        assert journal.perhaps_billed_in_crash == 0
        assert journal.spent_usd("r") == 0.25


def test_spending_is_told_apart_by_run(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        pay(journal, KEYS[0], "x", usd=0.5)
        journal.fail(KEYS[1], Failure("timeout", perhaps_billed=True), usd=0.25, run="r")
        journal.fail(KEYS[1], Failure("rate_limited", perhaps_billed=False), usd=0.25, run="r")
    with Journal(tmp_path / "j") as journal:
        assert journal.spent_usd("r") == 0.75
        assert journal.spent_usd("another") == 0.0


def test_only_its_owner_may_read_the_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"):
        assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(CookbookError, match="another run"):
        Journal(tmp_path / "j")


def test_the_lock_ends_with_the_process(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tasks.core.labeling.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "j")], check=False)
    assert killed.returncode == -9
    with Journal(tmp_path / "j") as journal:
        assert len(journal) == 0


def test_commit_returns_only_when_the_intent_is_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "j"

    async def work(journal: Journal, key: str) -> None:
        journal.intend(key, pair_id="p", usd=0.0, run="r", billed=True)
        await journal.commit()
        assert key.encode() in path.read_bytes()

    async def all_at_once(journal: Journal) -> None:
        await asyncio.gather(*(work(journal, key) for key in KEYS))

    with Journal(path) as journal:
        asyncio.run(all_at_once(journal))


def test_workers_of_one_tick_share_an_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    monkeypatch.setattr("os.fsync", syncs.append)

    async def work(journal: Journal, key: str) -> None:
        journal.intend(key, pair_id="p", usd=0.0, run="r", billed=True)
        await journal.commit()

    async def all_at_once(journal: Journal) -> None:
        await asyncio.gather(*(work(journal, key) for key in KEYS))

    with Journal(tmp_path / "j") as journal:
        syncs.clear()
        asyncio.run(all_at_once(journal))
    assert len(syncs) < 5


def test_a_full_disk_fails_loudly_and_loses_no_earlier_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "j", os.write
    with Journal(path) as journal:
        pay(journal, KEYS[0], "kept")
        journal.intend(KEYS[1], pair_id="p", usd=1.0, run="r", billed=True)
        with monkeypatch.context() as patch:
            patch.setattr("os.write", lambda file, data: write(file, data[:10]))
            with pytest.raises(CookbookError, match="No space left"):
                journal.answer(KEYS[1], reply("lost"), usd=0.5, run="r")
        pay(journal, KEYS[2], "later")
    with Journal(path) as journal:
        assert journal.result(KEYS[0]) == reply("kept")
        assert journal.result(KEYS[2]) == reply("later")
        assert KEYS[1] not in journal
        assert journal.perhaps_billed_in_crash == 1
