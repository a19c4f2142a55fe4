"""Whether the disk holds what a run will write: asked before anything is paid for or trained."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from tasks.core.errors import CookbookError


def free_bytes(store: Path) -> int:
    """Bytes free on the disk where the store lies or will lie."""
    there = next(folder for folder in (store, *store.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def missing_bytes(store: Path, needed: int) -> int:
    """``needed`` bytes, less those of artifacts that lie there already."""
    there = 0
    # A run at work renames and removes meanwhile, and nobody holds the store only to look.
    for folder, _, names in os.walk(store / "artifacts"):
        for name in names:
            with suppress(OSError):
                there += Path(folder, name).stat().st_size
    return max(0, needed - there)


def check_room(store: Path, needed: int) -> None:
    """Pass if ``needed`` bytes, less those of artifacts that lie there already, are free.

    Artifacts of earlier runs count as found again. Where they are not, the run may still meet
    a full disk; it then stops, and keeps what was finished.

    Raises:
        CookbookError: they are not free.
    """
    missing = missing_bytes(store, needed)
    free = free_bytes(store)
    if free < missing:
        raise CookbookError(
            f"This run needs about {in_words(missing)} more for {store}, and {in_words(free)} are "
            "free. Make room, or give another --store."
        )


def in_words(count: int) -> str:
    """Bytes as a person reads them: ``1.4 GiB``, ``12 MiB``."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
