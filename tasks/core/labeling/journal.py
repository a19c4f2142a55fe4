"""The payment journal: what was asked, what came back, and what may have been billed.

One JSON object a line, appended and never edited: ``intent`` is on the disk before its call
is sent, ``result`` or ``failure`` follows it. After a crash an intent without an outcome is a
call that was perhaps billed; a result is never paid for again. Each line ends with a checksum
of itself, so that a damaged line is told from a torn one.

Providers offer no idempotency key, so exactly-once is impossible; at most ``concurrency``
calls are repeated per crash.
"""

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tasks.core.errors import CookbookError
from tasks.core.labeling.replies import Reply

_CHECKSUM_LENGTH = len(',"crc":"00000000"}')


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt ended without an answer."""

    fault: str
    perhaps_billed: bool
    detail: str = ""


class Journal:
    """An open payment journal, locked for this process; use it in a ``with`` block.

    The index holds 32 bytes of key and an offset per result, so that 200,000 labels cost about
    40 MB of memory; the answers stay on disk.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the journal, drop a torn last line, and close what a crash left open.

        Raises:
            CookbookError: another process holds the journal, or an earlier line is damaged.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._offsets: dict[bytes, int] = {}
        self._spent: dict[str, float] = {}
        self._flushing: asyncio.Task[None] | None = None
        try:
            _lock(self._file, path)
            left_open = self._load()
        except BaseException:
            os.close(self._file)
            raise
        self._disk = ThreadPoolExecutor(1, "journal")
        self.perhaps_billed_in_crash = sum(intent["billed"] for intent in left_open)
        for intent in left_open:
            failure = Failure("crash", perhaps_billed=True)
            self.fail(intent["key"], failure, usd=intent["usd"], run=intent["run"])
        self.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._disk.shutdown()
        try:
            self.sync()
        finally:
            os.close(self._file)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._offsets

    def __len__(self) -> int:
        """Number of results, which is the number of calls that were answered."""
        return len(self._offsets)

    def spent_usd(self, run: str) -> float:
        """What one run cost or may have cost, its crashes and resumptions included."""
        return self._spent.get(run, 0.0)

    def result(self, key: str) -> Reply | None:
        """The answer paid for under this key, read from the disk; None where there is none."""
        offset = self._offsets.get(bytes.fromhex(key))
        if offset is None:
            return None
        return Reply(**self._record_at(offset)["reply"])

    def intend(
        self, key: str, *, pair_id: str, usd: float, run: str, billed: bool, member: str = ""
    ) -> None:
        """Note that a call is about to be made; ``await commit()`` before making it.

        ``usd`` is the most the call can cost; ``billed`` is False for the embedded judge;
        ``member`` is the mark of whom the call is about, "" where nobody could tell.
        """
        record = {"type": "intent", "key": key, "pair_id": pair_id, "usd": usd, "run": run}
        self._append(record | {"billed": billed, "member": member})

    def answer(self, key: str, reply: Reply, *, usd: float, run: str, member: str = "") -> None:
        """Note the answer. A kill cannot lose it, a power cut only until the next commit.

        ``member`` is for an answer without an intent, which would name it.
        """
        record = {"type": "result", "key": key, "usd": usd, "run": run, "reply": asdict(reply)}
        self._offsets[bytes.fromhex(key)] = self._append(record | {"member": member})
        self._spent[run] = self.spent_usd(run) + usd

    def carry(self, came: str, goes: str, *, run: str, member: str) -> None:
        """Give an answer, if there is one, another key at no cost; it stays as old as it is."""
        offset = self._offsets.get(bytes.fromhex(came))
        if offset is not None:
            record = {"day": ""} | self._record_at(offset)
            changes = {"key": goes, "usd": 0.0, "run": run, "member": member}
            self._offsets[bytes.fromhex(goes)] = self._append(record | changes)

    def fail(self, key: str, failure: Failure, *, usd: float, run: str) -> None:
        """Note an attempt without an answer; what was perhaps billed counts as spent."""
        charged = usd if failure.perhaps_billed else 0.0
        record = {"type": "failure", "key": key, "usd": charged, "run": run, **asdict(failure)}
        self._append(record)
        self._spent[run] = self.spent_usd(run) + charged

    async def commit(self) -> None:
        """Return once all that was noted so far would survive a power cut.

        One fsync serves every worker that waits: while one runs, the next batch gathers.
        """
        target = self._end
        while self._durable < target:
            if self._flushing is None or self._flushing.done():
                self._flushing = asyncio.create_task(self._flush())
            await asyncio.shield(self._flushing)

    def sync(self) -> None:
        """Make all that was noted durable, at once and without an event loop."""
        end = self._end
        os.fsync(self._file)
        self._durable = end

    def records(self) -> Iterator[dict[str, Any]]:
        """All records from the disk, in the order they were written."""
        return (record for record, _ in _read_with_lengths(self.path))

    def _record_at(self, offset: int) -> dict[str, Any]:
        return _parse_line(_line_at(self._file, offset), f"{self.path}, byte {offset}")

    async def _flush(self) -> None:
        # One tick, so that every worker that is ready adds its intent to the batch.
        await asyncio.sleep(0)
        await asyncio.get_running_loop().run_in_executor(self._disk, self.sync)

    def _append(self, record: Mapping[str, Any]) -> int:
        """Hand a line to the kernel, which keeps it even if this process is killed."""
        # The day is what answers are dropped by when they are too old.
        day = datetime.now(UTC).date().isoformat()
        line, offset = render_line({"day": day, **record}), self._end
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            # Half a line must not be followed by another one.
            os.ftruncate(self._file, offset)
            raise CookbookError(
                f"The payment journal {self.path} could not be written ({error.strerror}); free "
                "some space and run again: only the answers in flight are lost."
            ) from None
        self._end += len(line)
        return offset

    def _load(self) -> list[dict[str, Any]]:
        """Index the file, truncate a torn end; returns the intents without an outcome."""
        left_open: dict[str, dict[str, Any]] = {}
        offset = 0
        for record, length in _read_with_lengths(self.path):
            key, kind = record["key"], record["type"]
            if kind == "intent":
                left_open[key] = record
            else:
                left_open.pop(key, None)
                self._spent[record["run"]] = self.spent_usd(record["run"]) + record["usd"]
            if kind == "result":
                self._offsets[bytes.fromhex(key)] = offset
            offset += length
        os.ftruncate(self._file, offset)
        self._durable = self._end = offset
        return list(left_open.values())


def answered_keys(path: Path) -> set[str]:
    """Keys that are paid for already, read without the lock: for a plan while a run goes on."""
    if not path.exists():
        return set()
    return {record["key"] for record, _ in _read_with_lengths(path) if record["type"] == "result"}


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CookbookError(
            f"Expected to be alone with the payment journal {path}, but another run is labeling "
            "with it; wait for that run to end."
        ) from None


def member_mark(member_id: str) -> str:
    """How the journal names a member: enough to find who is to be forgotten, and no id to read.

    A pair without a member has a mark too, so that a record without one is of a version that
    wrote none.
    """
    return hashlib.sha256(f"member\n{member_id}".encode()).hexdigest()[:16]


def render_line(record: Mapping[str, Any]) -> bytes:
    """A record as its line, checksum and line end included."""
    body = json.dumps(record, separators=(",", ":")).encode()
    return body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body)


def _parse_line(line: bytes, where: str) -> dict[str, Any]:
    """The record of one line.

    Raises:
        CookbookError: the line's checksum does not fit it.
    """
    body = line[: -_CHECKSUM_LENGTH - 1] + b"}"
    if line[-_CHECKSUM_LENGTH - 1 :] != b',"crc":"%08x"}\n' % zlib.crc32(body):
        raise CookbookError(
            f"Expected an intact record in the payment journal at {where}; its checksum does not "
            "fit. Restore the file from a copy, or move it away and pay for its labels again."
        )
    record: dict[str, Any] = json.loads(body)
    return record


def _line_at(file: int, offset: int) -> bytes:
    chunks = bytearray()
    while not chunks.endswith(b"\n"):
        chunk = os.pread(file, 4096, offset + len(chunks))
        end = chunk.find(b"\n") + 1
        chunks += chunk[:end] if end else chunk
        if not chunk:
            break
    return bytes(chunks)


def _read_with_lengths(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Records and their lengths in bytes; a last line that is torn is left out."""
    size = path.stat().st_size
    seen = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            seen += len(line)
            try:
                record = _parse_line(line, f"{path}, line {number}")
            except CookbookError:
                if seen == size:
                    return
                raise
            yield record, len(line)
