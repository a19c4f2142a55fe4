"""The models of a domain: versions, one atomic pointer to the one in service, and a log.

``current.json`` alone decides what serves; ``log.jsonl`` says why, and is written first, so
that no change of the pointer goes unexplained.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.core.errors import CookbookError
from tasks.core.store.faults import fault_point
from tasks.core.store.files import canonical_json, write_json
from tasks.core.store.versions import (
    MANIFEST,
    Model,
    content_digest,
    damaged,
    empty_version,
    find_content,
    is_whole,
    read_version,
    restore_version,
    version_names,
    write_version,
)

MAXIMUM_AGE = timedelta(days=14)
# Events after which a candidate still waits for a decision.
UNDECIDED = ("registered", "waiting")
ENTRY = {"at", "event", "version", "instead_of", "reason", "by"}


class Registry:
    """The versions of one domain, in a folder of their own.

    Writers exclude each other by a kernel lock that lasts for one call, so that a person can
    approve a candidate while a run trains the next.
    """

    def __init__(
        self, folder: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.folder = folder
        self._versions = folder / "versions"
        self._pointer = folder / "current.json"
        self._log = folder / "log.jsonl"
        self._now = now

    def register(self, files: Mapping[str, Path], card: Mapping[str, Any]) -> str:
        """Copy files and folders into a new version, under the names given; returns its name.

        The same files with the same card are the same version: a run that was killed before it
        promoted finds its candidate again.
        """
        with self._writing():
            version = find_content(self._versions, content_digest(files, card))
            version = version or write_version(
                self._versions,
                files,
                card,
                created=self._now(),
                served_then=self.served_version(),
            )
            if not is_whole(self._versions / version):
                restore_version(self._versions / version, files)
            fault_point("registry_after_register")
            if self._last_events().get(version, {"event": "retired"})["event"] == "retired":
                self._note(
                    "registered", version, reason="a run ended with this candidate", by="run"
                )
            return version

    def promote(self, version: str, *, reason: str, by: str) -> Model:
        """Put a version into service; readers see the old pointer or the new one, never neither.

        Raises:
            CookbookError: there is no such version, a file of it is damaged, or no reason is given.
        """
        _check_reason(reason)
        with self._writing():
            model = self.model(version)
            if self.served_version() != version:
                self._point("promoted", model, reason=reason, by=by)
            return model

    def approve(
        self, version: str, *, reason: str, by: str, maximum_age: timedelta = MAXIMUM_AGE
    ) -> Model:
        """Promote a candidate that waits for a person, if what it was compared with still holds.

        Raises:
            CookbookError: it does not wait, is older than ``maximum_age``, or was compared with
                another model than the one in service.
        """
        self._check_waiting(version)
        offered = self._last_events()[version]
        since, compared = datetime.fromisoformat(offered["at"]), offered["instead_of"]
        if self._now() - since > maximum_age:
            raise CookbookError(
                f"A candidate is approved within {maximum_age.days} days; {version} waits since "
                f"{since:%Y-%m-%d}. Run the cookbook again, which compares it anew, or refuse it."
            )
        served = self.served_version()
        if compared != served:
            raise CookbookError(
                f"{version} was compared with {compared or 'no model'}, and "
                f"{served or 'none'} is in service now. Run the cookbook again to compare with "
                "that one, or refuse it."
            )
        return self.promote(version, reason=reason, by=by)

    def refuse(self, version: str, *, reason: str, by: str) -> None:
        """Record that a candidate will not serve; it must wait for a decision."""
        with self._writing():
            self._check_waiting(version)
            self._note("refused", version, reason=reason, by=by)

    def offer(self, version: str, *, reason: str, by: str) -> None:
        """Let a candidate wait for a person; it counts as compared now, with what serves now."""
        with self._writing():
            self._note("waiting", version, reason=reason, by=by)

    def retire(self, version: str, *, reason: str, by: str) -> None:
        """Remove the files of one that is ``retirable``; its card and place in the log stay."""
        with self._writing():
            if version not in self.retirable():
                raise CookbookError(
                    "The files of a version go if it neither serves nor waits nor would come back "
                    f"by a rollback; came {version}. See `cookbook models list`."
                )
            self._note("retired", version, reason=reason, by=by)
            empty_version(self._versions / version)

    def retirable(self) -> list[str]:
        """Versions that have files and that nobody needs: see ``retire``; oldest first."""
        needed = {self.served_version(), self._earlier(), *self.waiting()}
        return [name for name in self.versions() if name not in needed and self._has_files(name)]

    def rollback(self, *, reason: str, by: str) -> Model:
        """Put the version that served before back into service.

        Raises:
            CookbookError: none served before, its files are damaged, or no reason is given.
        """
        _check_reason(reason)
        with self._writing():
            earlier = self._earlier()
            if earlier is None:
                served = self.served_version() or "none"
                raise CookbookError(
                    "A rollback needs a model that served before the one in service; there is "
                    f"none (in service: {served}). Promote a version by its name."
                )
            model = self.model(earlier)
            self._point("rolled_back", model, reason=reason, by=by)
            return model

    def current(self) -> Model | None:
        """The model in service, or None where none was ever promoted.

        Raises:
            CookbookError: the pointer or a file that it leads to is damaged.
        """
        if not self._pointer.exists():
            return None
        try:
            pointer = json.loads(self._pointer.read_text(encoding="utf-8"))
            version, expected = pointer["version"], pointer["manifest_sha256"]
        except (ValueError, KeyError, TypeError):
            raise damaged(self._pointer) from None
        model = self.model(version)
        if model.manifest_sha256 != expected:
            raise damaged(model.file(MANIFEST))
        return model

    def served_version(self) -> str | None:
        """The version the pointer names; None where it is damaged too: a promotion mends it."""
        try:
            return str(json.loads(self._pointer.read_text(encoding="utf-8"))["version"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def model(self, version: str) -> Model:
        """A version, checked file by file.

        Raises:
            CookbookError: there is no such version, or a file is missing or altered.
        """
        if version not in self.versions():
            raise CookbookError(
                f"A version is one of {', '.join(self.versions()) or 'none yet'}; came "
                f"{version!r}. See `cookbook models list`."
            )
        return read_version(self._versions / version)

    def versions(self) -> list[str]:
        """Names of all versions, oldest first."""
        return version_names(self._versions)

    def waiting(self) -> list[str]:
        """Candidates that nobody has decided about yet, oldest first."""
        last = self._last_events()
        return [
            version
            for version in self.versions()
            if version in last and last[version]["event"] in UNDECIDED
        ]

    def log(self) -> list[dict[str, Any]]:
        """Every registration, promotion, refusal and rollback, oldest first.

        A line that a power cut left unfinished, or that is damaged, is no event: it is passed over.
        """
        entries = []
        if self._log.exists():
            for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict) and entry.keys() >= ENTRY:
                    entries.append(entry)
        return entries

    @contextmanager
    def _writing(self) -> Iterator[None]:
        # Random effects carry member ids, so the folder is its owner's alone.
        self._versions.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with (self.folder / "lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _point(self, event: str, model: Model, *, reason: str, by: str) -> None:
        self._note(event, model.version, reason=reason, by=by)
        fault_point("registry_before_pointer")
        pointer = {"version": model.version, "manifest_sha256": model.manifest_sha256}
        write_json(self._pointer, pointer)
        fault_point("registry_after_pointer")

    def _note(self, event: str, version: str, *, reason: str, by: str) -> None:
        entry = {
            "at": self._now().isoformat(timespec="seconds"),
            "event": event,
            "version": version,
            "instead_of": self.served_version(),
            "reason": reason,
            "by": by,
        }
        descriptor = os.open(self._log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, (b"\n" if torn else b"") + canonical_json(entry).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _last_events(self) -> dict[str, dict[str, Any]]:
        return {entry["version"]: entry for entry in self.log()}

    def _history(self) -> list[str]:
        """Versions in the order they came into service, those rolled back from left out."""
        history: list[str] = []
        for entry in self.log():
            version = entry["version"]
            if entry["event"] == "rolled_back" and version in history:
                del history[history.index(version) + 1 :]
            elif entry["event"] == "promoted":
                history = [other for other in history if other != version] + [version]
        return history

    def _earlier(self) -> str | None:
        """What a rollback goes back to."""
        served, history = self.served_version(), self._history()
        earlier = history[: history.index(served)] if served in history else history
        return next((version for version in reversed(earlier) if self._has_files(version)), None)

    def _has_files(self, version: str) -> bool:
        return len(list((self._versions / version).glob("*"))) > 1

    def _check_waiting(self, version: str) -> None:
        waiting = self.waiting()
        if version not in waiting:
            raise CookbookError(
                "A decision is about a candidate that waits "
                f"({', '.join(waiting) or 'none does'}); came {version!r}. "
                "See `cookbook models list`."
            )


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise CookbookError("A change of what serves is explained in the log. Give it a reason.")
