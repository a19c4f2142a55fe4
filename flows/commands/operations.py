"""`cookbook simulate`, `serve` and `doctor`: around the pipeline."""

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.commands.options import PROJECT, STORE, Root, Store, existing_store
from flows.serve_options import AS_SHIPPED, USUAL_DOMAIN, ServeOptions

MOST_DAYS = 36_500  # a century: what is older has no date


def simulate(
    *,
    root: Annotated[Path, Parameter(help="Folder to write policy/ and golden_data/ into.")],
    domain: Annotated[
        Literal["job_search"], Parameter(help="The world to simulate.")
    ] = "job_search",
    seed: Annotated[int, Parameter(help="Another seed makes another world.")] = 0,
    scale: Annotated[float, Parameter(help="1.0: 3,000 jobs and 600 members.")] = 1.0,
) -> None:
    """Write a simulated job_search domain, and the truth behind it for tests to read.

    Grades are by the root's own policy.md, or by the shipped one, which is then copied there. A
    domain that was not simulated is never written over.
    """
    from tasks.core.errors import CookbookError
    from tasks.core.policy import parse_policy
    from tasks.core.simulation.domain_files import write_domain
    from tasks.core.simulation.simulate import simulate as make_world

    if seed < 0:
        raise CookbookError(f"A seed is 0 or more; came {seed}. Give another number.")
    if root.exists() and not root.is_dir():
        raise CookbookError(f"A domain is written into a folder; {root} is a file. Name another.")
    there = root / "golden_data" / domain
    if there.is_dir() and any(there.iterdir()) and not (there / "truth").is_dir():
        raise CookbookError(
            f"{there} holds data without a simulation's truth/, so they may be people's; they are "
            "not written over. Name another --root, or move them away."
        )
    shipped, own = (place / "policy" / domain / "policy.md" for place in (PROJECT, root))
    source = own if own.is_file() else shipped
    policy = parse_policy(source)
    if policy.name != domain:
        raise CookbookError(
            f"{source} must be the policy of {domain}; its front matter says {policy.name!r}. "
            "Correct it, or name another --root."
        )
    folder = write_domain(make_world(policy, seed=seed, scale=scale), root)
    if source == shipped:
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_bytes(shipped.read_bytes())
    print(f"Simulated domain in {folder}. Grades and clicks are simulated, not people's.")


def serve(
    *,
    port: Annotated[int, Parameter(help="Port of Prefect's server on 127.0.0.1.")] = 4200,
    root: Root = PROJECT,
    store: Store = STORE,
    options: ServeOptions = AS_SHIPPED,
) -> None:
    """Serve the flows: Prefect's server with UI, deployments, schedules, and the reports.

    Everything listens on loopback. Runs started in the UI write to `store`, one at a time;
    scoring and decisions do not wait for them. What was changed of schedules and forms in the UI
    stays, but for what an option names.
    """
    from flows.local_server import prefect_server_with_ui
    from flows.places import (
        REPORTS_VARIABLE,
        ROOT_VARIABLE,
        SERVER_PID_VARIABLE,
        STORE_VARIABLE,
    )
    from tasks.core.errors import CookbookError

    if not 1 <= port <= 65_535:
        raise CookbookError(f"A port is a number from 1 to 65535; came {port}. Give another.")
    options.check(root)
    os.environ[SERVER_PID_VARIABLE] = str(os.getpid())
    os.environ[ROOT_VARIABLE] = str(root.resolve())
    os.environ[STORE_VARIABLE] = str(store.resolve())
    with prefect_server_with_ui(port) as address:
        from flows.deployments import deployments
        from flows.left_in_ui import as_left
        from flows.report_server import serve_reports
        from flows.rows import serve_in_rows
        from flows.stale_runs import close_runs_of_an_earlier_serve, watch_for_silence

        offered = as_left(deployments(options), options)
        watch_for_silence()
        for name in close_runs_of_an_earlier_serve():
            print(f"The run {name} had ended with an earlier `cookbook serve`: marked as crashed.")
        with serve_reports(store.resolve()) as reports:
            os.environ[REPORTS_VARIABLE] = reports
            domain = offered[0].parameters.get("domain", USUAL_DOMAIN)
            print(f"UI:      {address}", f"Reports: {reports}/{domain}/report.html", sep="\n")
            print(
                "From a shell, `export PREFECT_API_URL=" + address + "/api` shows runs there too."
            )
            print("Ctrl-C ends it.", flush=True)
            serve_in_rows(offered)


def clean(
    *,
    days: Annotated[int, Parameter(help="What is older goes, if nothing kept needs it.")],
    journal_days: Annotated[
        int | None,
        Parameter(help="Judges' answers older than this go too; a run that needs them pays again."),
    ] = None,
    store: Store = STORE,
) -> None:
    """Remove old runs, versions and artifacts; what serves and each latest run stay.

    What killed commands left half-built goes whatever its age.
    """
    from tasks.core.errors import CookbookError
    from tasks.core.labeling.forgetting import forget_older
    from tasks.core.store.leftovers import remove_leftovers
    from tasks.core.store.lock import run_lock
    from tasks.core.store.retention import clear_expired

    for given in (days, journal_days):
        if given is not None and not 1 <= given <= MOST_DAYS:
            raise CookbookError(f"Days are 1 to {MOST_DAYS:,}; came {given}. Give another number.")
    existing_store(store)
    with run_lock(store):
        removed = [*remove_leftovers(store), *clear_expired(store, days=days)]
        for folder in removed:
            print(f"removed {folder}")
        print(f"{len(removed)} folders removed.")
        if journal_days is not None:
            for journal in sorted(store.glob("*/labels/journal.jsonl")):
                answers = forget_older(journal, days=journal_days)
                print(f"{answers} answers removed from {journal}.")


def doctor(
    *,
    store: Store = STORE,
    ask: Annotated[
        bool, Parameter(help="Also ask the LLM endpoint for its models, and for one token of each.")
    ] = False,
) -> None:
    """Look at packages, weights, processor, disk, server, endpoint, locks and models."""
    from rich.console import Console
    from rich.markup import escape

    from flows.doctor import examine
    from tasks.core.errors import CookbookError
    from tasks.core.text import sanitize

    console, bad = Console(), 0
    colors = {"good": "green", "note": "yellow", "bad": "red"}
    for finding in examine(PROJECT, store, ask_endpoint=ask):
        bad += finding.state == "bad"
        color, seen = colors[finding.state], escape(sanitize(finding.seen))
        console.print(f"[{color}]{finding.state:<5}[/] {finding.subject}: {seen}", highlight=False)
        if finding.mend:
            console.print(f"      {finding.mend}", markup=False, highlight=False)
    if bad:
        raise CookbookError(f"{bad} of the above would stop a run; mend them as it says there.")
