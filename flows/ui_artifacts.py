"""What a person sees of a run in Prefect's UI: progress, a line per stage, verdict, report.

What is only shown never stops a run: while Prefect's server or database is away, it is left out.
"""

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx
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

SECONDS_BETWEEN_UPDATES = 2.0
# Each attempt waits for as long as Prefect's client tries again: not at every step of a training.
SECONDS_AFTER_FAILURE = 300.0
LONGEST_REASON = 2000  # what to do stands at the end of a reason: it must not be cut off
logger = logging.getLogger(__name__)


class UiProgress:
    """Listens to a run (tasks.run.listening) and shows it as artifacts of its tasks."""

    def __init__(self) -> None:
        self._bars: dict[str, UUID] = {}
        self._due: dict[str, float] = {}
        self.stages: list[dict[str, str]] = []

    def __call__(self, event: str, what: str, amount: float) -> None:
        if event == "progress":
            self._progress(what, amount)
        elif event in ("finished", "reused", "skipped", "notice"):
            with if_the_server_answers():
                if what in self._bars:
                    update_progress_artifact(self._bars.pop(what), progress=100.0)
            spent = f"{amount:.1f}" if event == "finished" else ""
            # The UI draws a cell as Markdown.
            self.stages.append({"stage": escape(what), "how": event, "seconds": spent})

    def _progress(self, stage: str, share: float) -> None:
        if time.monotonic() < self._due.get(stage, 0.0):
            return
        percent, pause = round(100 * share, 1), SECONDS_AFTER_FAILURE
        with if_the_server_answers():
            if stage in self._bars:
                update_progress_artifact(self._bars[stage], progress=percent)
            else:
                self._bars[stage] = _created(
                    create_progress_artifact(
                        percent, key=f"making-{artifact_key(stage)}", description=stage
                    )
                )
            pause = SECONDS_BETWEEN_UPDATES
        self._due[stage] = time.monotonic() + pause


@contextmanager
def if_the_server_answers() -> Iterator[None]:
    """Leave out what the block would show if Prefect's API is away or fails."""
    try:
        yield
    except httpx.HTTPError as error:
        logger.warning("Prefect shows less of this run than there is: %s", type(error).__name__)


def show_report(report: Report, domain: str, stages: list[dict[str, str]]) -> None:
    """Stages as a table, the summary as Markdown, and a link to report.html."""
    with if_the_server_answers():
        create_markdown_artifact(
            markdown_summary(report), key="verdict", description="Promoted or refused, and why"
        )
        create_table_artifact(
            stages, key="stages", description="What ran, and what was found again"
        )
        address = os.environ.get(REPORTS_VARIABLE)
        if address:
            # Its own: the latest one is another run's by the time that somebody looks.
            link = f"{address}/{domain}/{report['run_key']}/report.html"
            create_link_artifact(
                link, link_text="Open the report", key="report", description="The whole report"
            )


def show_failure(reason: str) -> None:
    """The reason a run ended early, as plain text."""
    with if_the_server_answers():
        create_markdown_artifact(
            f"**The run stopped.** {escape(reason, longest=LONGEST_REASON)}",
            key="verdict",
            description="Why it stopped",
        )


def artifact_key(name: str) -> str:
    """A key as Prefect allows it: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _created(found: object) -> UUID:
    # The function is typed as sync or async; called from a step, it is sync.
    assert isinstance(found, UUID)
    return found
