"""What `cookbook doctor` looks at, and how to mend what it finds."""

import fcntl
import json
import os
import platform
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from flows.local_server import check_server, named_server
from tasks.core.errors import CookbookError
from tasks.core.store.registry import Registry

State = Literal["good", "note", "bad"]
FREE_BYTES = 5 * 2**30
STALE_S = 7 * 24 * 3600.0
RUNNING_S = 24 * 3600.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its state, what was seen, and what to do if it is not good."""

    state: State
    subject: str
    seen: str
    mend: str = ""


def examine(project: Path, store: Path, *, ask_endpoint: bool) -> Iterator[Finding]:
    """All findings, in the order in which they would stop a run."""
    yield from _versions(project / "constraints.txt")
    yield _weights()
    yield _processor()
    yield _graphics()
    yield _disk(store)
    yield from _server()
    yield _endpoint(ask_endpoint)
    yield _lock(store)
    yield from _leftovers(store)
    yield from _registries(store)


def _versions(constraints: Path) -> Iterator[Finding]:
    pinned = dict(
        line.split("==")
        for line in constraints.read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    )
    other = [
        f"{name} {found} (tested: {wanted})"
        for name, wanted in pinned.items()
        if (found := _installed(name)) and found.split("+")[0] != wanted
    ]
    needed = ("prefect", "torch", "transformers", "peft", "fastapi")
    missing = [name for name in needed if not _installed(name)]
    if missing or other:
        seen = "; ".join([*(f"{name} is missing" for name in missing), *other])
        yield Finding("bad", "packages", seen, "Run `make install`.")
    else:
        yield Finding("good", "packages", f"all as in {constraints.name}")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _weights() -> Finding:
    from tasks.core.training.base_models import EMBEDDED_SHA256, embedded_folder

    try:
        folder = embedded_folder()
    except CookbookError as error:
        return Finding("bad", "embedded weights", str(error), "Run `make install`.")
    return Finding("good", "embedded weights", f"{folder.name}, sha256 {EMBEDDED_SHA256[:12]}")


def _processor() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        flags = ""
    fast = [name for name in ("avx512_bf16", "amx_bf16", "avx2") if name in flags]
    seen = f"{platform.machine()}, {cores} cores, {', '.join(fast) or 'no wide vectors'}"
    if "avx512_bf16" in fast:
        return Finding("good", "processor", seen)
    return Finding("note", "processor", seen, "Without avx512_bf16 a run takes twice as long.")


def _graphics() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("note", "GPU", "none", "The laptop profile needs none; single_gpu does.")
    name, memory = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory
    return Finding("good", "GPU", f"{name}, {memory / 2**30:.0f} GiB")


def _disk(store: Path) -> Finding:
    there = next(folder for folder in (store, *store.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    seen = f"{free / 2**30:.1f} GiB free for {store}"
    seen += "" if store.exists() else ", which is not there yet"
    if free >= FREE_BYTES:
        return Finding("good", "disk", seen)
    return Finding(
        "bad", "disk", seen, f"Make {FREE_BYTES / 2**30:.0f} GiB free, or give --store elsewhere."
    )


def _server() -> Iterator[Finding]:
    address = named_server()
    if address is None:
        seen = "none is named: each command runs its own for its time"
        yield Finding("good", "Prefect server", seen)
        return
    try:
        check_server(address, timeout_s=5)
        with urllib.request.urlopen(f"{address}/admin/version", timeout=5) as answer:
            running = json.load(answer)
    except (CookbookError, OSError, ValueError) as error:
        yield Finding(
            "bad", "Prefect server", str(error), "Start it with `cookbook serve`, or unset it."
        )
        return
    state: State = "good" if running == version("prefect") else "bad"
    mend = "" if state == "good" else f"Run Prefect {version('prefect')} on the server as well."
    yield Finding(state, "Prefect server", f"{address}, version {running}", mend)
    yield _silent_runs(address)
    yield from _database()


def _silent_runs(address: str) -> Finding:
    """Runs that the server shows as running for longer than any run should take."""
    before = (datetime.now(UTC) - timedelta(seconds=RUNNING_S)).isoformat()
    running = {"state": {"type": {"any_": ["RUNNING"]}}, "start_time": {"before_": before}}
    request = urllib.request.Request(
        f"{address}/flow_runs/count",
        json.dumps({"flow_runs": running}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        count = json.load(answer)
    if not count:
        return Finding("good", "stale runs", "none has been running for over a day")
    mend = "If their processes are gone, cancel them in the UI, or restart `cookbook serve`."
    return Finding("note", "stale runs", f"{count} running for over a day", mend)


def _database() -> Iterator[Finding]:
    url = os.environ.get("PREFECT_SERVER_DATABASE_CONNECTION_URL", "")
    if url and not url.startswith("sqlite"):
        yield Finding("good", "database", url.split(":")[0])
        return
    path = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser() / "prefect.db"
    if not path.exists():
        return
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as connection:
            state = connection.execute("pragma quick_check").fetchone()[0]
    except sqlite3.Error as error:
        state = str(error)
    mend = "Move the file away: the store, not this file, knows what was done."
    size = f"SQLite, {path.stat().st_size / 2**20:.0f} MiB"
    good = state == "ok"
    yield Finding("good" if good else "bad", "database", f"{size}, {state}", "" if good else mend)


def _endpoint(ask: bool) -> Finding:
    key, address = os.environ.get("OPENAI_API_KEY", ""), os.environ.get("OPENAI_BASE_URL", "")
    base = address or "https://api.openai.com/v1"
    if not key and not address:
        seen = "neither OPENAI_API_KEY nor OPENAI_BASE_URL is set: the embedded judge labels"
        return Finding("note", "LLM endpoint", seen, "docs/llm.md says how an LLM takes its place.")
    if not ask:
        known = "key set" if key else "no key"
        seen = f"{base}, {known}, not asked (--ask); `cookbook plan` says who labels and the cost"
        return Finding("good", "LLM endpoint", seen)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{base}/models", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return Finding("good", "LLM endpoint", f"{base} answers {answer.status}")
    except OSError as error:
        code = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
        return Finding("bad", "LLM endpoint", f"{base}: {code}", "Check the address and the key.")


def _lock(store: Path) -> Finding:
    path = store / "run.lock"
    if not path.exists():
        return Finding("good", "run lock", "free")
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = stream.read(4096).decode(errors="replace")
            return Finding("note", "run lock", f"held by {holder}", "Wait for that run to end.")
    return Finding("good", "run lock", "free")


def _leftovers(store: Path) -> Iterator[Finding]:
    now = time.time()
    kinds: tuple[tuple[str, Callable[[], list[Path]]], ...] = (
        ("half-built artifacts", lambda: list(store.glob("artifacts/*/*.building"))),
        ("checkpoints of unfinished steps", lambda: list(store.glob("scratch/*"))),
    )
    for subject, find in kinds:
        old = [path for path in find() if now - path.stat().st_mtime > STALE_S]
        if old:
            mend = f"No run has gone on with them for a week: rm -r {' '.join(map(str, old[:3]))}"
            yield Finding("note", subject, f"{len(old)} older than a week", mend)
        else:
            yield Finding("good", subject, "none that are stale")


def _registries(store: Path) -> Iterator[Finding]:
    for folder in sorted(store.glob("*/registry")):
        registry, subject = Registry(folder), f"models of {folder.parent.name}"
        try:
            current = registry.current()
        except CookbookError as error:
            mend = "`cookbook models rollback`, or promote another version."
            yield Finding("bad", subject, str(error), mend)
            continue
        waiting = registry.waiting()
        seen = f"{current.version if current else 'none'} in service, hashes as registered"
        if waiting:
            mend = f"Decide about {', '.join(waiting)} with the approve flow."
            yield Finding("note", subject, f"{seen}; {len(waiting)} waiting", mend)
        else:
            yield Finding("good", subject, seen)
