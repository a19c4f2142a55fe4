"""Removing what no kept run needs: artifacts and reports hold queries, members and clicks."""

import json
import shutil
import time
from pathlib import Path

from tasks.core.store.versions import read_manifest

DAY_S = 24 * 3600.0


def clear_expired(store: Path, *, days: int) -> list[Path]:
    """Remove finished runs older than ``days`` and the artifacts that only they used.

    Kept whatever their age: each domain's latest run, the runs behind registered versions, and
    all that these were made of. The store must be held. Returns the folders removed.
    """
    runs = {folder: _digests(folder) for folder in store.glob("*/finished/*") if folder.is_dir()}
    kept = {folder for folder in runs if _is_kept(folder, runs[folder], days)}
    used = {digest for folder in kept for digest in runs[folder]}
    removed = [folder for folder in runs if folder not in kept]
    for folder in store.glob("artifacts/*/*"):
        if folder.name[:16] not in used and _age_days(folder) > days:
            removed.append(folder)
    for folder in removed:
        shutil.rmtree(folder)
    return sorted(removed)


def _digests(run: Path) -> set[str]:
    """The artifacts of a run; none of one that was killed before its report."""
    if not (run / "report.json").exists():
        return set()
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    return {entry["digest"][:16] for entry in report["lineage"]}


def _is_kept(run: Path, digests: set[str], days: int) -> bool:
    domain = run.parent.parent
    versions = (domain / "registry" / "versions").glob("v*")
    made = {str(read_manifest(version)["card"].get("run")) for version in versions}
    latest = (domain / "latest").resolve() == run.resolve()
    return latest or bool(made & digests) or _age_days(run) <= days


def _age_days(folder: Path) -> float:
    return (time.time() - folder.stat().st_mtime) / DAY_S
