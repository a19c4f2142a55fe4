"""What a person sees of a run in Prefect's UI: progress, a line per stage, verdict, report."""

import os
import re
import time
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.places import REPORTS_VARIABLE
from tasks.core.report.markdown import escape, markdown_summary
from tasks.core.report.schema import Report
from tasks.core.text import sanitize

SECONDS_BETWEEN_UPDATES = 2.0


class UiProgress:
    """Listens to a run (tasks.run.listening) and shows it as artifacts of its tasks."""

    def __init__(self) -> None:
        self._bars: dict[str, UUID] = {}
        self._updated: dict[str, float] = {}
        self.stages: list[dict[str, str]] = []

    def __call__(self, event: str, what: str, amount: float) -> None:
        if event == "progress":
            self._progress(what, amount)
        elif event in ("finished", "reused", "skipped", "notice"):
            if what in self._bars:
                update_progress_artifact(self._bars.pop(what), progress=100.0)
            spent = f"{amount:.1f}" if event == "finished" else ""
            self.stages.append({"stage": sanitize(what), "how": event, "seconds": spent})

    def _progress(self, stage: str, share: float) -> None:
        percent, now = round(100 * share, 1), time.monotonic()
        if stage not in self._bars:
            self._bars[stage] = _created(
                create_progress_artifact(percent, key=artifact_key(stage), description=stage)
            )
        elif now - self._updated[stage] < SECONDS_BETWEEN_UPDATES:
            return
        else:
            update_progress_artifact(self._bars[stage], progress=percent)
        self._updated[stage] = now


def show_report(report: Report, domain: str, stages: list[dict[str, str]]) -> None:
    """Stages as a table, the summary as Markdown, and a link to report.html."""
    create_table_artifact(stages, key="stages", description="What ran, and what was found again")
    create_markdown_artifact(markdown_summary(report), key="verdict")
    address = os.environ.get(REPORTS_VARIABLE)
    if address:
        link = f"{address}/{domain}/report.html"
        create_link_artifact(link, link_text="Open the report", key="report")


def show_failure(reason: str) -> None:
    """The reason a run ended early, as plain text."""
    create_markdown_artifact(f"**The run stopped.** {escape(reason)}", key="verdict")


def artifact_key(name: str) -> str:
    """A key as Prefect allows it: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _created(found: object) -> UUID:
    # The function is typed as sync or async; called from a step, it is sync.
    assert isinstance(found, UUID)
    return found
