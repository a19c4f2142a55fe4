"""What `cookbook doctor` says of Prefect's server: whether it answers, its runs, its database."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flows.findings import Finding
from flows.local_server import named_server, prefect_home
from flows.serve_lock import served_address

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

SUBJECT = "Prefect server"
RUNNING_S = 24 * 3600.0
PATIENCE_S = 5.0
NOT_THERE = "Start it with `cookbook serve`, mend the address (it ends in /api), or unset it."
SIGN_IN = (
    "Set PREFECT_API_AUTH_STRING to what the server has in PREFECT_SERVER_API_AUTH_STRING, and "
    "leave PREFECT_CLIENT_CSRF_SUPPORT_ENABLED on."
)
REFUSED, BROKEN = {401, 403}, 500
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def server_findings() -> Iterator[Finding]:
    """The server that the environment names, or that `cookbook serve` runs, as runs find it."""
    address = named_server() or served_address(prefect_home())
    if address is None:
        seen = "none is named and none served here: each command runs its own for its time"
        yield Finding("good", SUBJECT, seen)
        return
    import httpx

    try:
        with _client(address) as client:
            yield _version(address, client.api_version())
            yield _silent_runs(client)
    except httpx.HTTPStatusError as error:
        yield _failed(address, error.response.status_code)
        return
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        seen = f"{address} does not answer as one does: {error}"
        yield Finding("bad", SUBJECT, seen, NOT_THERE)
        return
    yield from _database(address)


@contextmanager
def _client(address: str) -> Iterator["SyncPrefectClient"]:
    """Prefect's client: it signs in and gets CSRF tokens as runs do; here it does not try again."""
    from prefect.client.orchestration import get_client
    from prefect.settings import (
        PREFECT_API_REQUEST_TIMEOUT,
        PREFECT_API_URL,
        PREFECT_CLIENT_MAX_RETRIES,
        temporary_settings,
    )

    hasty = {PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: PATIENCE_S}
    with (
        temporary_settings({PREFECT_API_URL: address, **hasty}),
        get_client(sync_client=True) as client,
    ):
        yield client


def _version(address: str, running: str) -> Finding:
    ours = version("prefect")
    seen = f"{address}, version {running}"
    if running == ours:
        return Finding("good", SUBJECT, seen)
    return Finding("bad", SUBJECT, seen, f"Run Prefect {ours} on the server as well.")


def _failed(address: str, status: int) -> Finding:
    if status in REFUSED:
        return Finding("bad", SUBJECT, f"{address} refuses this client: HTTP {status}", SIGN_IN)
    mend = "The server's log says why; is its database away?" if status >= BROKEN else NOT_THERE
    return Finding("bad", SUBJECT, f"{address} answers HTTP {status}", mend)


def _silent_runs(client: "SyncPrefectClient") -> Finding:
    """Runs that the server shows as running for longer than any run should take."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterStartTime,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    before = datetime.now(UTC) - timedelta(seconds=RUNNING_S)
    running = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])),
        start_time=FlowRunFilterStartTime(before_=before),  # type: ignore[arg-type]
    )
    count = client.count_flow_runs(flow_run_filter=running)
    if not count:
        return Finding("good", "stale runs", "none has been running for over a day")
    mend = "If their processes are gone, cancel them in the UI, or restart `cookbook serve`."
    return Finding("note", "stale runs", f"{count} running for over a day", mend)


def _sqlite_file(url: str) -> Path:
    """The file that the URL names, else the one in Prefect's home; in memory there is none."""
    from sqlalchemy.engine import make_url  # with Prefect, which the other commands do without

    return Path(make_url(url).database or ":memory:") if url else prefect_home() / "prefect.db"


def _database(address: str) -> Iterator[Finding]:
    """The SQLite file of a server on this machine; another machine's cannot be seen from here."""
    host = urlsplit(address).hostname
    if host not in LOOPBACK:
        yield Finding("good", "database", f"that of the server on {host}: not looked at from here")
        return
    url = os.environ.get("PREFECT_SERVER_DATABASE_CONNECTION_URL", "")
    if url and not url.startswith("sqlite"):
        yield Finding("good", "database", url.split(":")[0])
        return
    path = _sqlite_file(url)
    if not path.exists():
        return
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as connection:
            state = connection.execute("pragma quick_check").fetchone()[0]
    except sqlite3.Error as error:
        state = str(error)
    mend = "Move the file away: the store, not this file, knows what was done."
    size = f"SQLite, {path.stat().st_size / 2**20:.0f} MiB"
    good = state == "ok"
    yield Finding("good" if good else "bad", "database", f"{size}, {state}", "" if good else mend)
