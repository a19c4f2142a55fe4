"""Serves finished reports on loopback, and nothing else.

/TOKEN/DOMAIN/report.html is the last run's, /TOKEN/DOMAIN/RUN/report.html that of any run.
"""

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
    token = secrets.token_urlsafe(24)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
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
