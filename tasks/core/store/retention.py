"""Removing what no kept run needs: artifacts and reports hold queries, members and clicks."""

import json
import time
from pathlib import Path

from tasks.core.store.leftovers import discard
from tasks.core.store.registry import Registry
from tasks.core.store.versions import MANIFEST, is_whole, read_manifest

DAY_S = 24 * 3600.0


def clear_expired(store: Path, *, days: int) -> list[Path]:
    """Remove versions and finished runs older than ``days``, and what only they used.

    Kept whatever their age: each domain's latest run; the model in service, the one a rollback
    goes back to and candidates that wait; the runs behind versions, and all that these were made
    of. Of a version that goes the card stays. The store must be held. Returns the folders removed.
    """
    retired = _retire(store, days)
    runs = {folder: _digests(folder) for folder in store.glob("*/finished/*") if folder.is_dir()}
    kept = {folder for folder in runs if _is_kept(folder, runs[folder], days)}
    used = {digest for folder in kept for digest in runs[folder]}
    removed = [folder for folder in runs if folder not in kept]
    for folder in store.glob("artifacts/*/*"):
        if folder.name[:16] not in used and _age_days(folder) > days:
            removed.append(folder)
    for folder in removed:
        discard(folder)
    return sorted([*removed, *retired])


def _retire(store: Path, days: int) -> list[Path]:
    """Versions without need, by the day their files were made or restored."""
    retired = []
    for folder in store.glob("*/registry"):
        registry = Registry(folder)
        for version in registry.retirable():
            place = folder / "versions" / version
            if _age_days(place / MANIFEST) > days:
                registry.retire(version, reason=f"older than {days} days", by="retention")
                retired.append(place)
    return retired


def _digests(run: Path) -> set[str]:
    """The artifacts of a run; none of one that was killed before its report."""
    if not (run / "report.json").exists():
        return set()
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    return {entry["digest"][:16] for entry in report["lineage"]}


def _is_kept(run: Path, digests: set[str], days: int) -> bool:
    domain = run.parent.parent
    versions = (domain / "registry" / "versions").glob("v*")
    whole = [version for version in versions if is_whole(version)]
    made = {str(read_manifest(version)["card"].get("run")) for version in whole}
    latest = (domain / "latest").resolve() == run.resolve()
    return latest or bool(made & digests) or _age_days(run) <= days


def _age_days(folder: Path) -> float:
    return (time.time() - folder.stat().st_mtime) / DAY_S
