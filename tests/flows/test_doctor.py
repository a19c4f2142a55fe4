"""The doctor sees what is wrong with a store and says how to mend it."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows import doctor
from flows.doctor import Finding
from tasks.core.store.lock import run_lock
from tasks.core.store.registry import Registry


def registry(store: Path) -> Registry:
    made = Registry(store / "jobs" / "registry")
    weights = store / "weights"
    weights.write_text("weights")
    made.promote(made.register({"model": weights}, {}), reason="first", by="run")
    return made


def test_a_model_in_service_is_checked_by_hash(tmp_path: Path) -> None:
    made = registry(tmp_path)
    (good,) = doctor._registries(tmp_path)
    assert good.state == "good"
    made.model("v0001").file("model").write_text("altered")
    (bad,) = doctor._registries(tmp_path)
    assert bad.state == "bad"
    assert "rollback" in bad.mend


def test_a_waiting_candidate_is_named(tmp_path: Path) -> None:
    made = registry(tmp_path)
    made.register({"model": tmp_path / "weights"}, {"other": "card"})
    (note,) = doctor._registries(tmp_path)
    assert note.state == "note"
    assert "v0002" in note.mend


def test_a_held_store_names_its_holder(tmp_path: Path) -> None:
    assert doctor._lock(tmp_path).state == "good"
    with run_lock(tmp_path):
        assert "pid" in doctor._lock(tmp_path).seen
    assert doctor._lock(tmp_path).state == "good"


def test_a_version_other_than_the_tested_one_is_bad(tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# tested\npytest==0.0.1\nabsent-package==1.0\n")
    (finding,) = doctor._versions(constraints)
    assert finding.state == "bad"
    assert "pytest" in finding.seen
    assert "absent-package" not in finding.seen


def test_a_server_that_is_down_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    found: list[Finding] = list(doctor._server())
    assert [one.state for one in found] == ["bad"]


def test_too_little_room_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "FREE_BYTES", 2**60)
    assert doctor._disk(tmp_path / "not" / "there" / "yet").state == "bad"


@pytest.mark.parametrize(("running", "state"), [(0, "good"), (3, "note")])
def test_runs_that_never_end_are_told(running: int, state: str) -> None:
    asked: list[dict[str, Any]] = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(str(running).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = doctor._silent_runs(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert found.state == state
    day_ago = datetime.now(UTC) - timedelta(days=1)
    before = datetime.fromisoformat(asked[0]["flow_runs"]["start_time"]["before_"])
    assert abs(before - day_ago) < timedelta(minutes=5)
