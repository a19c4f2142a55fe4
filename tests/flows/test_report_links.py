"""Where a candidate waits, a person finds the form in which to decide."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.approve import approve
from flows.places import STORE_VARIABLE
from flows.report_links import show_choice
from tasks.core.errors import CookbookError
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
    monkeypatch.setattr("flows.approve.tell", lambda *_: None)  # events go by a way of their own
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


def test_a_refresh_that_waits_shows_its_own_figures_and_no_report_of_another(
    prefect: Prefect, tmp_path: Path
) -> None:
    figure = {"value": 0.75, "low": 0.7, "high": 0.8, "n": 9}
    measured = {"auc_in_service": figure, "auc_refreshed": figure | {"value": 0.7625}}
    card = {"run": "r", "made_from": "v0001", "refresh": measured | {"gain": figure}}
    registry = Registry(tmp_path / "jobs" / "registry")
    version = registry.register({"scorer.json": tmp_path / "scorer.json"}, card)
    show_choice("jobs", version)
    (shown,) = prefect.shown
    assert "v0002 has effects that were refreshed" in shown
    assert "0.7625" in shown
    assert "report of v0002" not in shown


@pytest.mark.parametrize("decision", ["promote", "refuse"])
def test_a_damaged_model_in_service_keeps_nobody_from_deciding(
    prefect: Prefect, tmp_path: Path, decision: Literal["promote", "refuse"]
) -> None:
    registry = Registry(tmp_path / "jobs" / "registry")
    registry.promote("v0001", reason="first", by="test")
    waits = registry.register({"scorer.json": tmp_path / "scorer.json"}, {"run": "other"})
    registry.offer(waits, reason="passes", by="test")
    registry.model("v0001").file("scorer.json").write_text("altered")
    approve.fn(waits, decision, "looks good", "jobs")
    assert registry.served_version() == ("v0002" if decision == "promote" else "v0001")
    assert "v0001 cannot be read" in prefect.shown[-1]


def test_a_damaged_candidate_can_be_refused(prefect: Prefect, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "jobs" / "registry")
    registry.offer("v0001", reason="passes", by="test")
    registry.model("v0001").file("scorer.json").write_text("altered")
    approve.fn("v0001", "refuse", "damaged", "jobs")
    assert registry.waiting() == []
    assert "v0001 cannot be read" in prefect.shown[-1]


def test_where_the_form_is_not_served_the_page_names_the_flow(prefect: Prefect) -> None:
    show_choice("jobs", "v0001")
    (shown,) = prefect.shown
    assert "run `approve` for v0001" in shown


def test_a_decision_about_no_domain_leaves_the_store_alone(
    prefect: Prefect, tmp_path: Path
) -> None:
    """A registry below artifacts/ would be taken for artifacts, and stop every `clean`."""
    with pytest.raises(CookbookError, match="are taken; came 'artifacts'"):
        approve.fn("v0001", "promote", "reads well", "artifacts")
    assert not (tmp_path / "artifacts").exists()
    assert "are taken" in prefect.shown[-1]
