"""Prefect for one command: the server that PREFECT_API_URL names, or one of the command's own.

Prefect starts a server by itself where none is named, but that one survives a killed parent.
"""

import logging
import os
import socket
import subprocess
import sys
import tomllib
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.core.errors import CookbookError

# Whoever set one of these meant it.
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # Waits of 2, 4 ... 128 s: a server may be away for four minutes before a run gives up.
    "PREFECT_CLIENT_MAX_RETRIES": "7",
    # A server whose database is away answers 500, which Prefect's client takes as final.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500,504",
    # The least that Prefect allows, in seconds, for whoever watches runs (flows/stale_runs.py).
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}
# What runs log, which the UI shows, and what fails to reach a server that is away: events are only
# shown, and an outage that ends a run is said in one line. What ends a run before it has a log of
# its own is the engine's to tell, and is said in one line as well.
HIDDEN = (
    *("prefect.flow_runs", "prefect.task_runs", "prefect.engine"),
    *("prefect.events", "prefect._internal", "EventsWorker", "prefect.EventsWorker"),
)
# What Prefect sets for its own temporary server: no UI, no schedules.
EPHEMERAL = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}
ORIGINS_VARIABLE = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"
START_S = 300.0  # a crowded machine takes minutes; one whose process died refuses at once


def keep_libraries_quiet() -> None:
    """No telemetry, warnings alone on the terminal; before the first import of prefect."""
    # What transformers deprecates inside itself is nothing that a user can mend.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    # Prefect 3.8.8's runner, ended by a signal, forgets to await its own end.
    warnings.filterwarnings("ignore", message="coroutine 'Runner.astop' was never awaited")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


@contextmanager
def prefect_server() -> Iterator[str]:
    """Yields the API's address for the block; imports inside overlap with the server's start.

    Raises:
        CookbookError: PREFECT_API_URL names a server that does not answer.
    """
    keep_libraries_quiet()
    named = named_server()
    if named:
        check_server(named, timeout_s=10)
        yield named
        return
    process, address = _start(0, EPHEMERAL)
    os.environ["PREFECT_API_URL"] = address
    try:
        yield address
    finally:
        _send_what_waits()
        del os.environ["PREFECT_API_URL"]
        _stop(process)


def named_server() -> str | None:
    """The server that the environment or the user's active Prefect profile names, if any.

    Read here and not from Prefect, whose import takes longer than a server needs to be launched.
    """
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH", prefect_home() / "profiles.toml"))
    try:
        known = tomllib.loads(profiles.read_text(encoding="utf-8"))
        active = os.environ.get("PREFECT_PROFILE", known.get("active", ""))
        configured = known.get("profiles", {}).get(active, {}).get("PREFECT_API_URL")
    except (OSError, ValueError):
        configured = None
    return os.environ.get("PREFECT_API_URL") or configured


def prefect_home() -> Path:
    """The folder with Prefect's profiles and, where no other is named, its database."""
    return Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()


def check_server(address: str, *, timeout_s: float = START_S) -> None:
    """Wait until the server answers.

    Raises:
        CookbookError: it does not.
    """
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=timeout_s) as answer:
            answer.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise CookbookError(
            f"A Prefect server must answer at {address} (PREFECT_API_URL), and does not "
            f"({reason}). Start it with `cookbook serve`, or unset PREFECT_API_URL to run "
            "without one."
        ) from None


def hide_run_logs() -> None:
    """Leave what runs log to the UI: the terminal shows progress and one line for an error."""
    from prefect.logging.configuration import setup_logging
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]

    setup_logging()
    # Nor is it news that a server which is away did not get a log line; half a line says so.
    logging.raiseExceptions = False
    for logger in (logging.getLogger(), logging.getLogger("prefect._internal")):
        for handler in logger.handlers:
            handler.addFilter(lambda record: not record.name.startswith(HIDDEN))


@contextmanager
def prefect_server_with_ui(port: int) -> Iterator[str]:
    """A server with UI, schedules and all services, on loopback, for the block.

    Raises:
        CookbookError: another program listens on the port, or another `cookbook serve` has this
            Prefect home.
    """
    from flows.serve_lock import sole_serve

    keep_libraries_quiet()
    address = f"http://127.0.0.1:{port}"
    # The UI runs in a browser and must know where its API is.
    settings = {
        "PREFECT_UI_API_URL": f"{address}/api",
        "PREFECT_SERVER_API_PORT": str(port),
        # By default any page in the user's browser may read runs and artifacts, and start runs.
        ORIGINS_VARIABLE: os.environ.get(ORIGINS_VARIABLE, f"{address},http://localhost:{port}"),
    }
    with sole_serve(prefect_home(), address):
        process, _ = _start(port, settings)
        os.environ["PREFECT_API_URL"] = f"{address}/api"
        try:
            check_server(f"{address}/api")
            yield address
        finally:
            del os.environ["PREFECT_API_URL"]
            _stop(process)


def _start(port: int, settings: dict[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    try:
        # The child inherits a socket that already listens: no port to guess, nothing to poll for.
        listening = socket.create_server(("127.0.0.1", port))
    except OSError:
        raise CookbookError(
            f"Port {port} of 127.0.0.1 must be free, and another program listens on it. "
            "End that one, or give another --port."
        ) from None
    with listening:
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.server_process", str(listening.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listening.fileno()],
            env={**os.environ, **settings},
            # Ctrl-C is for the run; the server ends after it, when the pipe closes.
            start_new_session=True,
        )
    return process, f"http://127.0.0.1:{port}/api"


def _send_what_waits() -> None:
    """Logs and events that Prefect still holds would find no server later, and complain."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=5)


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(timeout=8)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
