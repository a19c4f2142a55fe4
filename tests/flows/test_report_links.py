"""Where a candidate waits, a person finds the form in which to decide."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.places import STORE_VARIABLE
from flows.report_links import show_choice
from tasks.core.store.registry import Registry

# Only outside of runs, which these tests have none of.
pytestmark = pytest.mark.filterwarnings("ignore:Artifact creation outside:FutureWarning")
DEPLOYMENT = "0b7a3c52-9f0e-4a43-8d53-6d1f2a9b7c11"
SERVED = {"id": DEPLOYMENT, "flow_id": DEPLOYMENT, "name": "approve"}


class Prefect(ThreadingHTTPServer):
    """Prefect's server as far as the link needs it: deployments by name, and artifacts shown."""

    deployments: dict[str, object]
    shown: list[str]


class Answer(BaseHTTPRequestHandler):
    server: Prefect

    def do_GET(self) -> None:
        found = self.server.deployments.get(self.path.partition("/name/")[2])
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.shown.append(body["data"])
        self.send_response(500)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prefect]:
    """A server that knows no deployment yet, and a store whose v0001 waits."""
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path))
    scorer = tmp_path / "scorer.json"
    scorer.write_text("{}")
    Registry(tmp_path / "jobs" / "registry").register({"scorer.json": scorer}, {"run": "r"})
    with Prefect(("127.0.0.1", 0), Answer) as server:
        server.deployments, server.shown = {}, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/api"
        with temporary_settings({PREFECT_API_URL: address, PREFECT_CLIENT_MAX_RETRIES: 0}):
            yield server
        server.shutdown()


def test_a_candidate_that_waits_leads_to_the_form_with_its_version_filled_in(
    prefect: Prefect,
) -> None:
    prefect.deployments["approve/approve"] = SERVED
    show_choice("jobs", "v0001")
    (shown,) = prefect.shown
    link = urlsplit(shown.partition("](")[2].partition(")")[0])
    assert link.netloc == f"127.0.0.1:{prefect.server_address[1]}"
    assert link.path == f"/deployments/deployment/{DEPLOYMENT}/run"
    (filled_in,) = parse_qs(link.query)["parameters"]
    assert json.loads(filled_in) == {"version": "v0001", "domain": "jobs"}


def test_where_the_form_is_not_served_the_page_names_the_flow(prefect: Prefect) -> None:
    show_choice("jobs", "v0001")
    (shown,) = prefect.shown
    assert "run `approve` for v0001" in shown
