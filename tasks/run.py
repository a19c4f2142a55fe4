"""The run at hand: its lock, store and progress, and what it skipped and why."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core.store.artifacts import Artifact, artifact_store
from tasks.core.store.leftovers import remove_half_writes
from tasks.core.store.lock import run_lock

logger = logging.getLogger(__name__)


@dataclass
class Run:
    """What the steps of one run tell each other besides artifacts: progress and omissions."""

    domain: str
    store: Path
    artifacts: list[Artifact] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    listeners: list[Callable[[str, str, float], None]] = field(default_factory=list)

    def starts(self, kind: str) -> None:
        self._tell("starts", kind, 0.0)

    def progress(self, kind: str, done: int, total: int, note: str = "") -> None:
        """Show that ``done`` of ``total`` rows or steps of a kind are through; ``note`` beside."""
        self._tell("progress", kind, done / max(1, total))
        if note:
            self._tell("note", f"{kind}: {note}", 0.0)

    def finished(self, artifact: Artifact) -> None:
        self.artifacts.append(artifact)
        self._tell("reused" if artifact.reused else "finished", artifact.kind, artifact.seconds)

    def say(self, notice: str) -> None:
        """Tell people something before it happens, such as that money is about to be spent."""
        self._tell("notice", notice, 0.0)

    def skip(self, step: str, reason: str) -> None:
        """Record that the run leaves a step out; the report and the terminal say so."""
        if {"step": step, "reason": reason} not in self.skipped:
            self.skipped.append({"step": step, "reason": reason})
            self._tell("skipped", f"{step}: {reason}", 0.0)

    def _tell(self, event: str, what: str, amount: float) -> None:
        for listener in self.listeners:
            listener(event, what, amount)


_run: ContextVar[Run] = ContextVar("run")
_listeners: list[Callable[[str, str, float], None]] = []


@contextmanager
def open_run(store: Path, domain: str) -> Iterator[Run]:
    """Hold the store's lock and make the run current, for the length of a flow.

    Raises:
        CookbookError: another run holds the store.
    """
    with run_lock(store):
        remove_half_writes(store / domain)
        with look_into(store, domain) as run:
            yield run


@contextmanager
def look_into(store: Path, domain: str) -> Iterator[Run]:
    """Make a run current that only looks: it holds no lock, so another may be at work beside it."""
    with artifact_store(store):
        run = Run(domain, store.resolve(), listeners=list(_listeners))
        token = _run.set(run)
        try:
            yield run
        finally:
            _run.reset(token)


@contextmanager
def listening(listener: Callable[[str, str, float], None]) -> Iterator[None]:
    """Hear the events of runs opened meanwhile: (event, what, seconds or share)."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def current_run() -> Run:
    """The run that is open.

    Raises:
        LookupError: no run is open.
    """
    return _run.get()
