"""What `cookbook doctor` looks at, and how to mend what it finds."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flows.doctor_endpoint import endpoint_findings
from flows.doctor_server import server_findings
from flows.findings import Finding
from flows.needs import needed_bytes
from flows.profiles import laptop
from flows.serve_options import USUAL_DOMAIN
from tasks.core.domain.paths import find_domain
from tasks.core.errors import CookbookError
from tasks.core.store.lock import seen_holder
from tasks.core.store.registry import Registry
from tasks.core.store.room import free_bytes, in_words, missing_bytes
from tasks.machine import PROCESSES

STALE_S = 7 * 24 * 3600.0


def examine(project: Path, store: Path, *, ask_endpoint: bool) -> Iterator[Finding]:
    """All findings, in the order in which they would stop a run."""
    yield from _versions(project / "constraints.txt")
    yield _weights()
    yield _processor()
    yield _graphics()
    yield _disk(project, store)
    yield from server_findings()
    yield from endpoint_findings(ask=ask_endpoint)
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
    if missing:
        seen = "; ".join(f"{name} is missing" for name in missing)
        yield Finding("bad", "packages", seen, "Run `make install`.")
    if other:
        mend = "Runs go on; for the versions that the tests ran on, `make install`."
        yield Finding("note", "packages", "; ".join(other), mend)
    if not missing and not other:
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
    count = torch.cuda.device_count()
    seen = f"{count if count > 1 else ''} {name}, {memory / 2**30:.0f} GiB".strip()
    if count > 1 and not os.environ.get(PROCESSES):
        mend = f"A run trains and scores on the first; on all with {PROCESSES}={count}."
        return Finding("note", "GPU", seen, mend)
    return Finding("good", "GPU", seen)


def _disk(project: Path, store: Path) -> Finding:
    free = free_bytes(store)
    seen = f"{in_words(free)} free for {store}"
    seen += "" if store.exists() else ", which is not there yet"
    try:
        needed = needed_bytes(laptop(), find_domain(USUAL_DOMAIN, project))
    except CookbookError:
        return Finding("good", "disk", f"{seen}; `cookbook plan` says what a run needs")
    missing = missing_bytes(store, needed)
    seen += f"; a laptop run of {USUAL_DOMAIN} needs about {in_words(missing)} more"
    if free >= missing:
        return Finding("good", "disk", seen)
    return Finding("bad", "disk", seen, "Make room, or give --store elsewhere.")


def _lock(store: Path) -> Finding:
    holder = seen_holder(store / "run.lock")
    if holder is None:
        return Finding("good", "run lock", "free")
    seen = f"held by {holder.decode(errors='replace')}"
    return Finding("note", "run lock", seen, "Wait for that run to end.")


def _leftovers(store: Path) -> Iterator[Finding]:
    now = time.time()
    kinds: tuple[tuple[str, Callable[[], list[Path]]], ...] = (
        ("half-built artifacts", lambda: list(store.glob("artifacts/*/*.building"))),
        ("checkpoints of unfinished steps", lambda: list(store.glob("scratch/*"))),
    )
    for subject, find in kinds:
        old = [path for path in find() if now - _last_written(path, now) > STALE_S]
        if old:
            mend = f"No run has gone on with them for a week: rm -r {' '.join(map(str, old[:3]))}"
            yield Finding("note", subject, f"{len(old)} older than a week", mend)
        else:
            yield Finding("good", subject, "none that are stale")


def _last_written(folder: Path, now: float) -> float:
    """When anything in it was written last; now, where a run at work has just removed it."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return now


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
