"""The content-addressed store: what a step made is found again by what it was made from.

An artifact's digest covers the step's name, its settings, the digests upstream, the hashes of
outside inputs and the source of the step. Its folder is built under another name, synced,
given its manifest last, and renamed: no manifest, not done. Every file's hash stands in the
manifest and is checked before the artifact is used again, so a damaged one is rebuilt.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.store.faults import fault_point
from tasks.core.store.files import digest_of, file_sha256, sync_folder, sync_tree, write_json

Counts = dict[str, int]
# Timings differ between two equal runs, so files of this name are no part of the content digest.
MEASURED = "measured.json"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """A finished step's output: small, printable, safe to pass through Prefect."""

    kind: str
    path: str
    digest: str
    content_digest: str
    seconds: float
    reused: bool
    counts: Counts = field(default_factory=dict)
    inputs: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return Path(self.path)

    def file(self, name: str) -> Path:
        return self.folder / name

    def json(self, name: str) -> Any:
        return json.loads(self.file(name).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Workbench:
    """Where a step builds: ``out`` becomes the artifact, ``scratch`` survives a crash."""

    out: Path
    scratch: Path

    @property
    def digest(self) -> str:
        """The first 16 hex digits of the digest that the artifact will have."""
        return self.scratch.name


Build = Callable[[Workbench], Counts]
_store: ContextVar[Path] = ContextVar("artifact_store")


@contextmanager
def artifact_store(root: Path) -> Iterator[Path]:
    """Open the store that ``materialize`` writes to, for the length of a run.

    Artifacts hold queries, members and clicks, so their folders are their owner's alone.
    """
    for name in ("artifacts", "scratch"):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(0o700)
    token = _store.set(root.resolve())
    try:
        yield root
    finally:
        _store.reset(token)


def store_root() -> Path:
    """The open store's folder."""
    return _store.get()


def materialize(
    kind: str,
    build: Build,
    *,
    settings: Mapping[str, Any],
    upstream: Sequence[Artifact] = (),
    outside: Mapping[str, str] | None = None,
    source: str = "",
) -> Artifact:
    """Find the artifact made from exactly these inputs, or build it.

    Args:
        kind: what it is (policy_teacher, pairs ...); also its folder in the store.
        build: writes into ``Workbench.out`` and returns counts worth showing.
        settings: the step's branch of the settings, as JSON.
        upstream: artifacts it reads.
        outside: sha256 of every other input, by name.
        source: digest of the code that builds it.
    """
    inputs = [artifact.digest for artifact in upstream]
    key = {
        "kind": kind,
        "settings": settings,
        "upstream": inputs,
        "outside": dict(outside or {}),
        "source": source,
    }
    digest = digest_of(key)
    folder = store_root() / "artifacts" / kind / digest[:16]
    found = find(folder)
    # The manifest is not among the files that it has hashes of: what it says is held to the key.
    if found is None or (found.kind, found.digest, found.inputs) != (kind, digest, tuple(inputs)):
        return _build(kind, build, folder, digest, key)
    # There is one only where a kill came after the artifact had its name.
    shutil.rmtree(_scratch(digest), ignore_errors=True)
    # Use counts for its age: no report names what a run of labels or training alone used.
    os.utime(folder)
    return found


def find(folder: Path) -> Artifact | None:
    """The artifact in the folder, or None where it is absent, unfinished or damaged."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        found = _artifact(folder, manifest, reused=True)
        return found if _files(folder) == manifest["files"] else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _build(kind: str, build: Build, folder: Path, digest: str, key: dict[str, Any]) -> Artifact:
    bench = Workbench(folder.with_suffix(".building"), _scratch(digest))
    # A half-built output is worthless; the scratch folder holds what resuming needs.
    shutil.rmtree(bench.out, ignore_errors=True)
    bench.out.mkdir(parents=True)
    bench.scratch.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    fault_point(f"{kind}:before_build")
    counts = build(bench)
    fault_point(f"{kind}:after_build")
    manifest = {
        "kind": kind,
        "digest": digest,
        "key": key,
        "counts": counts,
        "seconds": round(time.monotonic() - started, 3),
        "files": _files(bench.out),
    }
    sync_tree(bench.out)
    write_json(bench.out / MANIFEST, manifest)
    fault_point(f"{kind}:after_manifest")
    shutil.rmtree(folder, ignore_errors=True)
    bench.out.rename(folder)
    sync_folder(folder.parent)
    fault_point(f"{kind}:after_rename")
    shutil.rmtree(bench.scratch, ignore_errors=True)
    return _artifact(folder, manifest, reused=False)


def _scratch(digest: str) -> Path:
    return store_root() / "scratch" / digest[:16]


def _files(folder: Path) -> dict[str, str]:
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {str(path.relative_to(folder)): file_sha256(path) for path in paths}


def _artifact(folder: Path, manifest: dict[str, Any], *, reused: bool) -> Artifact:
    content = {n: h for n, h in manifest["files"].items() if not n.endswith(MEASURED)}
    return Artifact(
        kind=manifest["kind"],
        path=str(folder),
        digest=manifest["digest"],
        content_digest=digest_of(content),
        seconds=manifest["seconds"],
        reused=reused,
        counts=manifest["counts"],
        inputs=tuple(manifest["key"]["upstream"]),
    )
