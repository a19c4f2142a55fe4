"""What happened to a domain's versions: a file of lines that only ever grows."""

import errno
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.core.store.files import canonical_json

ENTRY = {"at", "event", "version", "instead_of", "reason", "by"}


class DecisionLog:
    """Events of versions, and what follows from them; the registry's lock guards its writing."""

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        self._path = path
        self._now = now

    def entries(self) -> list[dict[str, Any]]:
        """Every event, oldest first.

        A line that a power cut left unfinished, or that is damaged, is no event: it is passed over.
        """
        entries = []
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict) and entry.keys() >= ENTRY:
                    entries.append(entry)
        return entries

    def note(
        self, event: str, version: str, *, instead_of: str | None, reason: str, by: str
    ) -> None:
        """Append an event; ``instead_of`` is the version in service.

        Raises:
            OSError: the disk took less than the whole line; none of it stays.
        """
        entry = {
            "at": self._now().isoformat(timespec="seconds"),
            "event": event,
            "version": version,
            "instead_of": instead_of,
            "reason": reason,
            "by": by,
        }
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            line = (b"\n" if torn else b"") + canonical_json(entry).encode() + b"\n"
            if os.write(descriptor, line) < len(line):
                # A full disk may take a part and call it a success; half a line is no decision.
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def last(self) -> dict[str, dict[str, Any]]:
        """The latest entry about each version that the log knows."""
        return {entry["version"]: entry for entry in self.entries()}

    def has_served(self) -> bool:
        """Whether the pointer is known to have named a version: an event found one in service.

        A single promotion tells nothing: it may have been cut off before the pointer was there.
        """
        return any(entry["instead_of"] is not None for entry in self.entries())

    def standing(self, event: str) -> set[str]:
        """Versions whose latest entry is this event."""
        return {version for version, entry in self.last().items() if entry["event"] == event}

    def history(self) -> list[str]:
        """Versions in the order they came into service, those rolled back from left out."""
        history: list[str] = []
        seen: set[str] = set()  # in service, since their promotion was noted
        for entry in self.entries():
            version = entry["version"]
            seen.add(entry["instead_of"])
            if entry["event"] == "rolled_back" and version in history:
                del history[history.index(version) + 1 :]
            elif entry["event"] == "promoted":
                lost = entry["instead_of"] is None and seen.issuperset(history[-1:])
                if history and not lost and entry["instead_of"] in (None, *history[:-1]):
                    # The one before never served: its promotion was cut off.
                    history.pop()
                seen.discard(version)
                history = [other for other in history if other != version] + [version]
            elif entry["event"] == "refused" and entry["instead_of"] != version:
                # Refused as the latest that came: its promotion was cut off, and it never served.
                history = history[:-1] if history[-1:] == [version] else history
        return history

    def cut_off(self, served: str | None) -> str | None:
        """The version whose promotion is noted, last of all changes, and moved no pointer.

        The line is written before the pointer; a kill between the two leaves this.
        """
        changes = self._changes()
        if not changes or served != changes[-1]["instead_of"]:
            return None
        # A rollback that was cut off is repeated as it was begun.
        stands = changes[-1] in self.last().values() and changes[-1]["event"] == "promoted"
        return str(changes[-1]["version"]) if stands else None

    def rolled_back_last(self, version: str, *, reason: str, by: str) -> bool:
        """Whether the last change of what serves is the person's rollback to it, in these words."""
        entry = {"event": "rolled_back", "version": version, "reason": reason, "by": by}
        return any(entry.items() <= last.items() for last in self._changes()[-1:])

    def _changes(self) -> list[dict[str, Any]]:
        return [one for one in self.entries() if one["event"] in ("promoted", "rolled_back")]
