"""What a killed command leaves in a store: halves of artifacts and files, whole reproductions."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tasks.core.errors import CookbookError
from tasks.core.store.files import remove_half_files, sync_folder
from tasks.core.store.lock import run_lock
from tasks.core.store.registry import Registry

# No domain's name begins with a dot, so no domain is ever taken for a reproduction.
REPRODUCTION = ".reproduce-"


def discard(folder: Path) -> None:
    """Remove an artifact, a finished run or a step's scratch in one step.

    A kill on the way leaves what ``remove_leftovers`` takes, and never a half that looks young.
    """
    unfinished = folder.with_suffix(".building")
    folder.rename(unfinished)
    sync_folder(folder.parent)
    shutil.rmtree(unfinished)


def remove_leftovers(store: Path) -> list[Path]:
    """Remove half-built artifacts and stores of reproductions that were killed; returns them.

    A run makes the former again from the start, and a reproduction's answers would be gone at its
    end too. The store must be held, or what a run is building would go. A reproduction at work
    holds a lock of its own; it stays, and removes itself at its end.
    """
    halves = ("artifacts/*/*.building/", "*/finished/*.building/", "scratch/*.building/")
    removed = sorted(folder for half in halves for folder in store.glob(half))
    for folder in removed:
        shutil.rmtree(folder)
    for folder in sorted(_reproductions(store)):
        with suppress(CookbookError), run_lock(folder):
            shutil.rmtree(folder)
            removed.append(folder)
    for domain in store.glob("*/"):
        remove_half_writes(domain)
        if (domain / "registry").is_dir():
            with Registry(domain / "registry").writing():
                pass  # opening it for writing clears it
    return removed


def remove_half_writes(domain: Path) -> None:
    """Remove files of a domain that were half-written at a kill; the store must be held."""
    for folder in (domain, domain / "labels", *domain.glob("finished/*")):
        remove_half_files(folder)
    for link in domain.glob(".latest.*"):
        link.unlink()


def _reproductions(store: Path) -> Iterator[Path]:
    yield from store.glob(f"{REPRODUCTION}*")
    for folder in store.glob("reproduce-*"):
        # Earlier versions used a name that a domain may have: told by what only a store holds.
        if (folder / "run.lock").exists() or any(folder.glob("*/labels")):
            yield folder
