"""`cookbook run` and its parts: the same flow as in the UI, with progress on the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from flows.commands.options import USUAL, RunOptions

if TYPE_CHECKING:
    from tasks.settings import Settings


def run(options: RunOptions = USUAL) -> None:
    """Run the whole pipeline: policy and golden data in, a promoted or refused ranker out.

    What an earlier run made from the same inputs is found and used again; after a crash, run
    the same command again.
    """
    report = run_flow(options, until=None)
    show_report(report, options.store / options.domain / "latest" / "report.html")


def label(options: RunOptions = USUAL) -> None:
    """Check the judge against golden data and label pairs; no label is paid for twice.

    After an edit of the policy only labels that cite a changed clause are asked for again.
    """
    _run_part(options, until="label")
    _show_labels(options.store, options.domain)


def train(options: RunOptions = USUAL) -> None:
    """As `label`, then train the policy teacher and the click teacher."""
    _run_part(options, until="train")


def distill(options: RunOptions = USUAL) -> None:
    """As `train`, then teach the assistant, the student and the pruned student."""
    _run_part(options, until="distill")


def personalize(options: RunOptions = USUAL) -> None:
    """As `distill`, then calibrate, and fit an effect per member and per job."""
    _run_part(options, until="personalize")


def evaluate(options: RunOptions = USUAL) -> None:
    """As `personalize`, then measure every model; promotes nothing."""
    _run_part(options, until="evaluate")


def _run_part(options: RunOptions, *, until: str) -> None:
    run_flow(options, until=until)
    print(f"Finished as far as {until}; a later command goes on from here.")


def _show_labels(store: Path, domain: str) -> None:
    """Say how the labels came about: stale ones, judges, holes, what was sent."""
    from tasks.core.report.label_lines import label_lines
    from tasks.core.text import sanitize
    from tasks.label_records import read_labeling
    from tasks.past_labels import past_labels
    from tasks.run import look_into

    with look_into(store, domain):
        for line in label_lines(read_labeling(next(past_labels()).judgments)):
            print(sanitize(line))


def show_report(report: dict[str, Any], page: Path) -> None:
    """Print the verdict, the models, what was skipped, and where the report lies."""
    from tasks.core.report.terminal import judge_line, summary_table, verdict_line
    from tasks.core.text import sanitize

    console = Console()
    console.print()
    console.print(summary_table(report))
    console.print(judge_line(report), markup=False, highlight=False)
    for entry in report["skipped"]:
        line = sanitize(f"Skipped {entry['step']}: {entry['reason']}")
        console.print(line, markup=False, highlight=False)
    console.print(verdict_line(report), markup=False, highlight=False, style="bold")
    console.print(f"Report: {page}", markup=False, highlight=False, soft_wrap=True)


def run_flow(
    options: RunOptions, *, until: str | None, settings: "Settings | None" = None
) -> dict[str, Any]:
    """Run the flow with progress on the terminal; ``settings`` replace the profile's."""
    # What takes no time to check is checked before anything starts.
    from tasks.core.domain.paths import find_domain

    settings = settings or options.settings()
    find_domain(options.domain, options.root)

    from flows.local_server import check_server, hide_run_logs, prefect_server
    from flows.progress import RunProgress

    with prefect_server() as address:
        from flows.cookbook import cookbook
        from tasks.run import listening

        check_server(address)
        hide_run_logs()
        with RunProgress(Console()) as progress, listening(progress):
            part: dict[str, Any] = {} if until is None else {"until": until}
            report: dict[str, Any] = cookbook(
                settings=settings,
                domain=options.domain,
                root=options.root,
                store=options.store,
                **part,
            )
            return report
