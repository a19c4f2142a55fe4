"""Removing what no kept run needs: artifacts and reports hold queries, members and clicks."""

import time
from pathlib import Path

from tasks.core.errors import CookbookError
from tasks.core.store.leftovers import discard
from tasks.core.store.registry import Registry
from tasks.core.store.used_artifacts import Say, used_artifacts
from tasks.core.store.versions import MANIFEST, is_whole, read_manifest

DAY_S = 24 * 3600.0


def clear_expired(
    store: Path, *, days: int, say: Say = print, unattended: bool = False
) -> list[Path]:
    """Remove versions, finished runs and scratch older than ``days``, and what only they used.

    Kept whatever their age: each domain's latest run; the model in service, the one a rollback
    goes back to and candidates that wait; the runs behind versions, and all that these were made
    of. Of a version that goes the card stays. What is damaged counts as kept, and as using
    whatever it may have used; ``say`` hears of it. The store must be held. Returns the folders
    removed.

    Args:
        unattended: nobody looks at the clock; where all earlier runs would go at once, none does.
    """
    if unattended and _all_at_once(store, days):
        say(
            f"Nothing was removed: every earlier run is older than {days} days, as after a pause, "
            "or by a clock that is wrong. If the clock is right, "
            f"`cookbook clean --days {days}` removes them."
        )
        return []
    retired = _retire(store, days, say)
    kept, removed = [], []
    for domain in store.glob("*/"):
        needed, expired = _runs(domain, days, say)
        kept += needed
        removed += expired
    if None not in kept:
        used = set().union(*(digests for digests in kept if digests))
        for folder in store.glob("artifacts/*/*/"):
            if folder.name[:16] not in used and _age_days(folder) > days:
                removed.append(folder)
    # Checkpoints of steps that no run went on with; a step at work would hold the store.
    removed += [folder for folder in store.glob("scratch/*/") if _unused_days(folder) > days]
    for folder in removed:
        discard(folder)
    return sorted([*removed, *retired])


def _all_at_once(store: Path, days: int) -> bool:
    """Whether there are earlier runs, more than one, and all of them are too old."""
    runs = [folder for folder in store.glob("*/finished/*") if folder.is_dir()]
    earlier = [run for run in runs if run.resolve() != (run.parents[1] / "latest").resolve()]
    return len(earlier) > 1 and all(_age_days(run) > days for run in earlier)


def _retire(store: Path, days: int, say: Say) -> list[Path]:
    """Versions without need, by the day their files were made or restored."""
    retired = []
    for folder in store.glob("*/registry"):
        registry = Registry(folder)
        # Held from the list to the files: a person who decides in between would need one of them.
        with registry.writing():
            for version in registry.retirable():
                place = folder / "versions" / version
                try:
                    read_manifest(place)
                except CookbookError as error:
                    say(f"{version} stays: {error}")
                    continue
                if _age_days(place / MANIFEST) > days:
                    registry.retire(version, reason=f"older than {days} days", by="retention")
                    retired.append(place)
    return retired


def _runs(domain: Path, days: int, say: Say) -> tuple[list[set[str] | None], list[Path]]:
    """What each finished run used that stays, and the folders of those that go."""
    kept: list[set[str] | None] = []
    expired: list[Path] = []
    behind = _behind_versions(domain, say)
    latest = (domain / "latest").resolve()
    for run in (folder for folder in domain.glob("finished/*") if folder.is_dir()):
        used = used_artifacts(run, say)
        # A damaged version, or a damaged report where there are versions, may belong together.
        made_one = behind is None or (bool(behind) if used is None else bool(behind & used))
        if run.resolve() == latest or made_one or _age_days(run) <= days:
            kept.append(used)
        else:
            expired.append(run)
    return kept, expired


def _behind_versions(domain: Path, say: Say) -> set[str] | None:
    """The runs that made the versions with files; None where a damaged one does not tell."""
    made: set[str] = set()
    unknown = False
    for version in (domain / "registry" / "versions").glob("v*"):
        try:
            if is_whole(version):
                made.add(str(read_manifest(version)["card"].get("run")))
        except CookbookError as error:
            say(f"No run of {domain.name} goes, since any may have made {version.name}: {error}")
            unknown = True
    return None if unknown else made


def _unused_days(folder: Path) -> float:
    """Days since anything in it was written."""
    return min(_age_days(path) for path in (folder, *folder.rglob("*")))


def _age_days(folder: Path) -> float:
    return (time.time() - folder.stat().st_mtime) / DAY_S
