"""Serves finished reports on loopback, and nothing else.

/TOKEN/DOMAIN/report.html is the last run's, /TOKEN/DOMAIN/RUN/report.html that of any run. Port
and token stay the store's: a candidate may wait for two weeks, and its page's links must hold
when `cookbook serve` is started again.
"""

import json
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from tasks.core.domain.paths import valid_name
from tasks.core.errors import CookbookError
from tasks.core.store.files import write_json

ADDRESS = "report_server.json"
PAGES = ("report.html", "report.json", "manifest.json")
# The page is self-contained; it needs no script, no frame and no other origin.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def report_app(store: Path, token: str) -> Starlette:
    """Pages of the finished runs of each domain, to those who know the token."""

    def page(request: Request) -> Response:
        given, domain, name = (request.path_params[key] for key in ("token", "domain", "name"))
        if not secrets.compare_digest(given.encode(), token.encode()) or name not in PAGES:
            return PlainTextResponse("not found", 404)
        try:
            folder = store / valid_name(domain, "domain")
            run = request.path_params.get("run")
            finished = "latest" if run is None else f"finished/{valid_name(run, 'run')}"
            path = folder / finished / name
        except CookbookError:
            return PlainTextResponse("not found", 404)
        if not path.is_file():
            return PlainTextResponse("no finished run yet", 404)
        return FileResponse(path, headers=HEADERS)

    paths = ("/{token}/{domain}/{name}", "/{token}/{domain}/{run}/{name}")
    return Starlette(routes=[Route(path, page) for path in paths])


@contextmanager
def serve_reports(store: Path) -> Iterator[str]:
    """Serve for the block; yields the address that report links start with."""
    kept, token = _kept(store / ADDRESS)
    with _listening(kept) as listening:
        port = listening.getsockname()[1]
        if port != kept:
            store.mkdir(parents=True, exist_ok=True)
            write_json(store / ADDRESS, {"port": port, "token": token}, mode=0o600)
        server = uvicorn.Server(
            uvicorn.Config(report_app(store, token), log_level="error", lifespan="off")
        )
        thread = threading.Thread(target=server.run, args=[[listening]], daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/{token}"
        finally:
            server.should_exit = True
            thread.join(timeout=5)


def _kept(path: Path) -> tuple[int, str]:
    """The store's port and token; port 0 (any that is free) and a new token where it has none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        port, token = found["port"], found["token"]
        seen_by_others = path.stat().st_mode & 0o077
        if not seen_by_others and 1023 < port < 65_536 and re.fullmatch(r"[\w-]{32,64}", token):
            return port, token
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent or damaged: links of before are lost, reports are not
    return 0, secrets.token_urlsafe(24)


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:  # another program has taken it meanwhile
        return socket.create_server(("127.0.0.1", 0))
