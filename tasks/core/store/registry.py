"""The models of a domain: versions, one atomic pointer to the one in service, and a log.

``current.json`` alone decides what serves; ``log.jsonl`` says why, and is written first, so
that no change of the pointer goes unexplained.
"""

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.core.errors import CookbookError
from tasks.core.store.decision_log import DecisionLog
from tasks.core.store.faults import fault_point
from tasks.core.store.files import remove_half_files, write_json
from tasks.core.store.versions import (
    MANIFEST,
    Model,
    content_digest,
    damaged,
    empty_version,
    find_content,
    is_intact,
    read_version,
    remove_unfinished,
    restore_version,
    version_names,
    write_version,
)

MAXIMUM_AGE = timedelta(days=14)


class Registry:
    """The versions of one domain, in a folder of their own.

    Writers exclude each other by a kernel lock that lasts for one decision, so that a person can
    approve a candidate while a run trains the next.
    """

    def __init__(
        self, folder: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.folder = folder
        self._versions = folder / "versions"
        self._pointer = folder / "current.json"
        self._log = DecisionLog(folder / "log.jsonl", now=now)
        self._now = now
        self._held = False

    def register(self, files: Mapping[str, Path], card: Mapping[str, Any]) -> str:
        """Copy files and folders into a new version, under the names given; returns its name.

        The same files with the same card are the same version: a run that was killed before it
        promoted finds its candidate again, and one whose files went or were damaged gets them back.
        """
        with self.writing():
            version = find_content(self._versions, content_digest(files, card))
            if version is None:
                version = write_version(
                    self._versions,
                    files,
                    card,
                    created=self._now(),
                    served_then=self.served_version(),
                    known=self._log.last(),
                )
            elif not is_intact(self._versions / version, card):
                restore_version(self._versions / version, files, card)
            fault_point("registry_after_register")
            if version not in self._log.last() or version in self._log.standing("retired"):
                reason = "a run made it and has not decided yet; running again decides"
                self._note("registered", version, reason=reason, by="run")
            return version

    def promote(self, version: str, *, reason: str, by: str) -> Model:
        """Put a version into service; readers see the old pointer or the new one, never neither.

        Raises:
            CookbookError: there is no such version, a file of it is damaged, or no reason is given.
        """
        _check_reason(reason)
        with self.writing():
            return self._serve(version, reason=reason, by=by)

    def approve(
        self, version: str, *, reason: str, by: str, maximum_age: timedelta = MAXIMUM_AGE
    ) -> Model:
        """Promote a candidate that waits for a person, if what it was compared with still holds.

        Raises:
            CookbookError: it does not wait, is older than ``maximum_age`` or than the two weeks
                that are the most, or was compared with another model than the one in service.
        """
        _check_reason(reason)
        # Under the lock: a run that promotes between check and pointer would be overwritten.
        with self.writing():
            _check_candidate(version, self.waiting())
            self._check_comparison(version, min(maximum_age, MAXIMUM_AGE))
            return self._serve(version, reason=reason, by=by)

    def refuse(self, version: str, *, reason: str, by: str) -> None:
        """Record that a candidate will not serve; it must be undecided."""
        with self.writing():
            _check_candidate(version, self.undecided())
            self._note("refused", version, reason=reason, by=by)

    def offer(self, version: str, *, reason: str, by: str) -> None:
        """Let a candidate wait for a person; it counts as compared now, with what serves now."""
        with self.writing():
            self._note("waiting", version, reason=reason, by=by)

    def retire(self, version: str, *, reason: str, by: str) -> None:
        """Remove the files of one that is ``retirable``; its card and place in the log stay."""
        with self.writing():
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

        The same person's same words twice are one rollback: the first may have been killed after
        it took effect, and a second step back would go one too far.

        Raises:
            CookbookError: none served before, its files are damaged, or no reason is given.
        """
        _check_reason(reason)
        with self.writing():
            served = self.served_version()
            if served is not None and self._log.rolled_back_last(served, reason=reason, by=by):
                return self.model(served)
            earlier = self._earlier()
            if earlier is None:
                raise CookbookError(
                    "A rollback needs a model that served before the one in service; there is "
                    f"none (in service: {served or 'none'}). Promote a version by its name."
                )
            model = self.model(earlier)
            self._point("rolled_back", model, reason=reason, by=by)
            return model

    def current(self) -> Model | None:
        """The model in service, or None where none was ever promoted.

        Raises:
            CookbookError: the pointer or a file that it leads to is damaged or lost.
        """
        if not self._pointer.exists():
            if self._log.has_served():
                raise damaged(self._pointer)
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
        """Candidates that passed the gates and that a person decides about, oldest first.

        One whose promotion was cut off before the pointer moved is among them: repeating the
        approval ends it.
        """
        found = self._log.standing("waiting") | {self._log.cut_off(self.served_version())}
        return [version for version in self.versions() if version in found]

    def undecided(self) -> list[str]:
        """Those that wait, and those that a killed run registered and no gate has judged."""
        found = self._log.standing("registered").union(self.waiting())
        return [version for version in self.versions() if version in found]

    def log(self) -> list[dict[str, Any]]:
        """Every registration, promotion, refusal and rollback, oldest first."""
        return self._log.entries()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other writers out, for one call or for several in a row.

        Whoever comes in first removes what a killed writer left half-written.
        """
        if self._held:
            yield
            return
        # Random effects carry member ids, so the folder is its owner's alone.
        self._versions.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with (self.folder / "lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            self._held = True
            try:
                remove_unfinished(self._versions)
                remove_half_files(self.folder)
                yield
            finally:
                self._held = False

    def _serve(self, version: str, *, reason: str, by: str) -> Model:
        model = self.model(version)
        if self.served_version() != version:
            self._point("promoted", model, reason=reason, by=by)
        return model

    def _point(self, event: str, model: Model, *, reason: str, by: str) -> None:
        self._note(event, model.version, reason=reason, by=by)
        fault_point("registry_before_pointer")
        pointer = {"version": model.version, "manifest_sha256": model.manifest_sha256}
        write_json(self._pointer, pointer)
        fault_point("registry_after_pointer")

    def _note(self, event: str, version: str, *, reason: str, by: str) -> None:
        self._log.note(event, version, instead_of=self.served_version(), reason=reason, by=by)

    def _earlier(self) -> str | None:
        """What a rollback goes back to."""
        served, history = self.served_version(), self._log.history()
        earlier = history[: history.index(served)] if served in history else history
        return next((version for version in reversed(earlier) if self._has_files(version)), None)

    def _has_files(self, version: str) -> bool:
        return len(list((self._versions / version).glob("*"))) > 1

    def _check_comparison(self, version: str, maximum_age: timedelta) -> None:
        offered = self._log.last()[version]
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


def _check_candidate(version: str, candidates: list[str]) -> None:
    if version not in candidates:
        raise CookbookError(
            "A decision is about a candidate that waits "
            f"({', '.join(candidates) or 'none does'}); came {version!r}. See `cookbook models "
            "list`; one that is only registered was held to no gate: run the cookbook again."
        )


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise CookbookError("A change of what serves is explained in the log. Give it a reason.")
