"""Which artifacts a finished run used, by what its report says."""

import json
from collections.abc import Callable
from pathlib import Path

Say = Callable[[str], None]


def used_artifacts(run: Path, say: Say) -> set[str] | None:
    """Names of the artifacts that a finished run's folder lists; none before its report.

    None where the report is damaged: it may have used any, and that is said.
    """
    report = run / "report.json"
    if not report.exists():
        return set()
    try:
        lineage = json.loads(report.read_text(encoding="utf-8"))["lineage"]
        return {entry["digest"][:16] for entry in lineage}
    except (OSError, ValueError, LookupError, TypeError):
        say(
            f"{report} cannot be read, so its run counts as one that may have used every artifact. "
            f"Restore the file, or remove {run}."
        )
        return None
