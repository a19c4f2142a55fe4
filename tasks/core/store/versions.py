"""Immutable versions of a model: folders with a manifest of hashes, whole or absent.

A version is copied under another name, synced and renamed; from then on nothing writes to it,
and every reading checks each file against the manifest.
"""

import json
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.core.errors import CookbookError
from tasks.core.store.faults import fault_point
from tasks.core.store.files import digest_of, file_sha256, sync_folder, sync_tree, write_json

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Model:
    """A version whose every file was just checked by hash."""

    version: str
    folder: Path
    created: datetime
    served_then: str | None
    card: dict[str, Any]
    manifest_sha256: str

    def file(self, name: str) -> Path:
        return self.folder / name


def version_names(folder: Path) -> list[str]:
    """Names of the versions in a folder, oldest first."""
    return sorted(path.name for path in folder.glob("v[0-9]*"))


def content_digest(files: Mapping[str, Path], card: Mapping[str, Any]) -> str:
    """What makes two versions the same: the bytes and names of their files, and their card."""
    contents = {name: _hashes(path) for name, path in files.items()}
    return digest_of({"files": contents, "card": dict(card)})


def find_content(folder: Path, content: str) -> str | None:
    """The version of this content digest, or None; a damaged one is no such version."""
    for version in version_names(folder):
        try:
            if read_manifest(folder / version)["content"] == content:
                return version
        except CookbookError:
            continue
    return None


def write_version(
    folder: Path,
    files: Mapping[str, Path],
    card: Mapping[str, Any],
    *,
    created: datetime,
    served_then: str | None,
    known: Collection[str],
) -> str:
    """Copy files and folders into the next version, under the names given; returns its name.

    Names in ``known`` are not given again, though their folders may be gone: what was decided
    about one version must not be taken for a decision about another.
    """
    names = {*version_names(folder), *known}
    version = f"v{max((_number(name) for name in names), default=0) + 1:04d}"
    manifest = {
        "version": version,
        "created": created.isoformat(timespec="seconds"),
        "served_then": served_then,
        "content": content_digest(files, card),
        "card": dict(card),
    }
    building = _build(folder / version, files, manifest)
    fault_point("registry_after_copy")
    building.rename(folder / version)
    sync_folder(folder)
    return version


def _number(version: str) -> int:
    found = re.match(r"v(\d+)", version)
    return int(found[1]) if found else 0


def is_whole(folder: Path) -> bool:
    """Whether every file of the manifest is there; its bytes are not read."""
    return all((folder / name).exists() for name in read_manifest(folder)["files"])


def is_intact(folder: Path, card: Mapping[str, Any]) -> bool:
    """Whether a version's files, read and hashed, and its card are as they were registered."""
    try:
        return digest_of(read_version(folder).card) == digest_of(dict(card))
    except CookbookError:
        return False


def restore_version(folder: Path, files: Mapping[str, Path], card: Mapping[str, Any]) -> None:
    """Put back what was removed or damaged, from files of the same content; its dates stay.

    All is built beside and then renamed file by file. A folder that is not empty cannot be
    replaced in one step, and a kill between two steps would leave none: the version would come
    back under another name. A kill between two files leaves a version that is restored again.
    """
    building = _build(folder, files, {**read_manifest(folder), "card": dict(card)})
    wanted = _files(building)
    for name in set(_files(folder)) - set(wanted):
        (folder / name).unlink()
    for name in wanted:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (building / name).replace(folder / name)
        fault_point("registry_in_restore")
    sync_tree(folder)
    shutil.rmtree(building)


def remove_unfinished(folder: Path) -> None:
    """Remove versions that were half-built when their writer was killed."""
    for building in folder.glob(".*.building"):
        shutil.rmtree(building)


def empty_version(folder: Path) -> None:
    """Remove a version's files; its manifest goes on saying what it was and of what bytes."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != MANIFEST:
            path.unlink()


def read_version(folder: Path) -> Model:
    """A version, checked file by file.

    Raises:
        CookbookError: a file is missing, altered, or one too many.
    """
    manifest = read_manifest(folder)
    if not any((folder / name).exists() for name in manifest["files"]):
        raise CookbookError(
            f"A version that serves has its files; those of {folder.name} were removed as too old "
            "or are lost. Promote another one (`cookbook models list`), or run the cookbook again."
        )
    present = {name: sha for name, sha in _hashes(folder).items() if name != MANIFEST}
    for name in sorted(manifest["files"].keys() | present.keys()):
        if manifest["files"].get(name) != present.get(name):
            raise damaged(folder / name)
    return Model(
        version=folder.name,
        folder=folder,
        created=datetime.fromisoformat(manifest["created"]),
        served_then=manifest["served_then"],
        card=manifest["card"],
        manifest_sha256=file_sha256(folder / MANIFEST),
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """A version's manifest, its files unchecked.

    Raises:
        CookbookError: it is missing or cannot be read.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        complete = {"files", "content", "card", "created", "served_then"} <= manifest.keys()
    except (OSError, ValueError, AttributeError):
        complete = False
    if not complete:
        raise damaged(folder / MANIFEST)
    return manifest


def damaged(path: Path) -> CookbookError:
    """What a reader says about a file that is not as it was registered."""
    return CookbookError(
        f"{path} must be as it was registered, and is missing or altered; nothing is served from "
        "it. Promote another version (`cookbook models list`), or restore the file from a backup."
    )


def _build(folder: Path, files: Mapping[str, Path], manifest: Mapping[str, Any]) -> Path:
    """The whole version beside its place, on the disk; the manifest comes last."""
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    _copy(files, building)
    sync_tree(building)
    write_json(building / MANIFEST, {**manifest, "files": _hashes(building)})
    return building


def _copy(files: Mapping[str, Path], folder: Path) -> None:
    for name, path in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, target)


def _hashes(path: Path) -> dict[str, str]:
    """sha256 by name: of a file alone under "", of a folder by relative path."""
    if path.is_file():
        return {"": file_sha256(path)}
    return {name: file_sha256(path / name) for name in _files(path)}


def _files(folder: Path) -> list[str]:
    """Relative paths of all files below a folder, in order."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path.relative_to(folder).as_posix() for path in found]
