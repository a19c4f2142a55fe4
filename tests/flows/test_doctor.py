"""The doctor sees what is wrong with a store and says how to mend it."""

import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import doctor, doctor_endpoint, doctor_server
from flows.doctor_endpoint import endpoint_findings
from flows.doctor_server import server_findings
from flows.profiles import changed, laptop
from flows.serve_lock import sole_serve
from tasks.core.store.lock import run_lock
from tasks.core.store.registry import Registry
from tasks.judge_settings import JudgeSettings
from tests.flows.smoke import PROJECT


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
    version = made.register({"model": tmp_path / "weights"}, {"other": "card"})
    (ungated,) = doctor._registries(tmp_path)
    assert ungated.state == "good"  # no gate has judged it: nobody is asked to decide about it
    made.offer(version, reason="passes every gate", by="run")
    (note,) = doctor._registries(tmp_path)
    assert note.state == "note"
    assert "v0002" in note.mend


def test_checkpoints_are_as_old_as_the_last_one_however_deep(tmp_path: Path) -> None:
    for name in ("at-work", "left", "left/rationale"):
        (tmp_path / "scratch" / name).mkdir(parents=True)
    deep = tmp_path / "scratch" / "at-work" / "rationale"
    deep.mkdir()
    for path in tmp_path.rglob("*"):
        os.utime(path, (0, 0))
    (deep / "step-10").write_text("written just now")
    os.utime(deep, (0, 0))
    (tmp_path / "scratch" / "gone").symlink_to(tmp_path / "nowhere")  # removed while it looks
    found = {one.subject: one for one in doctor._leftovers(tmp_path)}
    note = found["checkpoints of unfinished steps"]
    assert (note.state, note.seen) == ("note", "1 older than a week")
    assert note.mend.endswith("scratch/left")


def test_a_held_store_names_its_holder(tmp_path: Path) -> None:
    assert doctor._lock(tmp_path).state == "good"
    with run_lock(tmp_path):
        assert "pid" in doctor._lock(tmp_path).seen
    assert doctor._lock(tmp_path).state == "good"


def test_looking_at_the_lock_keeps_no_run_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run may start at the very moment: whatever the doctor does, the lock stays free."""
    with run_lock(tmp_path):
        pass
    monkeypatch.setattr(fcntl, "flock", lambda *_: pytest.fail("the lock was taken"))
    assert doctor._lock(tmp_path).state == "good"


def test_a_version_other_than_the_tested_one_stops_no_run(tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# tested\npytest==0.0.1\nabsent-package==1.0\n")
    (finding,) = doctor._versions(constraints)
    assert finding.state == "note"
    assert "pytest" in finding.seen
    assert "absent-package" not in finding.seen


def test_a_needed_package_that_is_missing_is_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "constraints.txt").write_text("")
    monkeypatch.setattr(doctor, "_installed", lambda name: None if name == "torch" else "1")
    (finding,) = doctor._versions(tmp_path / "constraints.txt")
    assert (finding.state, "torch is missing" in finding.seen) == ("bad", True)


def test_what_cookbook_serve_runs_is_looked_at_though_nothing_names_it(
    server: "Server", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    server.answers = {"/api/admin/version": (503, None)}
    with sole_serve(tmp_path, server.address):
        (found,) = server_findings()
    assert (found.state, f"{server.address}/api" in found.seen) == ("bad", True)
    (ended,) = server_findings()
    assert (ended.state, "none served here" in ended.seen) == ("good", True)


def test_a_server_that_is_down_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert [one.state for one in server_findings()] == ["bad"]


@pytest.mark.parametrize(("free", "state"), [(2**20, "bad"), (4 * 2**30, "good")])
def test_room_is_bad_where_a_run_would_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    monkeypatch.setattr(doctor, "free_bytes", lambda _: free)
    assert doctor._disk(Path(PROJECT), tmp_path / "not" / "there" / "yet").state == state


class Answers(BaseHTTPRequestHandler):
    """Answers each path with the status and JSON given, and keeps what it was asked."""

    server: "Server"

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Any) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((path, body))
        if path in self.server.raw:
            self.wfile.write(self.server.raw[path])
            return
        status, answer = self.server.answers.get(path, (404, None))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None: ...


class Server(ThreadingHTTPServer):
    answers: dict[str, tuple[int, Any]]
    raw: dict[str, bytes]
    asked: list[tuple[str, Any]]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answers) as server:
        server.answers, server.raw, server.asked = {}, {}, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.mark.parametrize(("running", "state"), [(0, "good"), (3, "note")])
def test_runs_that_never_end_are_told(
    server: Server, monkeypatch: pytest.MonkeyPatch, running: int, state: str
) -> None:
    server.answers = {
        "/api/admin/version": (200, version("prefect")),
        "/api/csrf-token": (422, "CSRF protection is disabled."),
        "/api/flow_runs/count": (200, running),
    }
    monkeypatch.setenv("PREFECT_API_URL", f"{server.address}/api")
    _, found, *_ = server_findings()
    assert (found.subject, found.state) == ("stale runs", state)
    (query,) = (body for path, body in server.asked if path == "/api/flow_runs/count")
    day_ago = datetime.now(UTC) - timedelta(days=1)
    before = datetime.fromisoformat(query["flow_runs"]["start_time"]["before_"])
    assert abs(before - day_ago) < timedelta(minutes=5)


def test_a_server_that_answers_errors_is_one_bad_line_at_the_first_try(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = {"/api/admin/version": (503, None)}
    monkeypatch.setenv("PREFECT_API_URL", f"{server.address}/api")
    (found,) = server_findings()
    assert (found.state, len(server.asked)) == ("bad", 1)
    assert "503" in found.seen


def test_the_database_of_a_server_elsewhere_is_not_looked_for_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    (tmp_path / "prefect.db").write_text("no database at all, and nobody's business")
    (elsewhere,) = doctor_server._database("https://prefect.example.com/api")
    assert (elsewhere.state, "prefect.example.com" in elsewhere.seen) == ("good", True)
    (here,) = doctor_server._database("http://127.0.0.1:4200/api")
    assert here.state == "bad"


def test_the_database_that_the_servers_url_names_is_the_one_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one in Prefect's home may be an old one, whole or not, that nobody uses any more."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    (tmp_path / "prefect.db").write_text("no database at all")
    named = tmp_path / "named.db"
    url = f"sqlite+aiosqlite:///{named}"
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", url)
    assert list(doctor_server._database("http://127.0.0.1:4200/api")) == []
    with closing(sqlite3.connect(named)) as connection:
        connection.execute("create table run (id integer)")
    (found,) = doctor_server._database("http://127.0.0.1:4200/api")
    assert (found.state, found.seen.endswith(", ok")) == ("good", True)
    for memory in ("sqlite+aiosqlite:///:memory:", "sqlite+aiosqlite://"):
        monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", memory)
        assert list(doctor_server._database("http://127.0.0.1:4200/api")) == []


@pytest.fixture
def llm(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A healthy endpoint that the environment names and whose model the profiles name."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.address}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    server.answers = {
        "/v1/models": (200, {"data": [{"id": "gpt-4.1-mini"}, {"id": "another"}]}),
        "/v1/chat/completions": (200, {"choices": [{"message": {"content": "Yes"}}]}),
    }
    return server


def test_an_endpoint_is_asked_for_its_models_and_one_token(llm: Server) -> None:
    (found,) = endpoint_findings(ask=True)
    assert found.state == "good"
    assert "gpt-4.1-mini (laptop" in found.seen
    (question,) = (body for path, body in llm.asked if path == "/v1/chat/completions")
    assert (question["model"], question["max_completion_tokens"]) == ("gpt-4.1-mini", 1)


def test_an_endpoint_is_left_alone_unless_asked_for(llm: Server) -> None:
    (found,) = endpoint_findings(ask=False)
    assert (found.state, llm.asked) == ("good", [])


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/v1/models", (401, None), "its list of models fails: HTTP 401"),
        ("/v1/models", (200, "a web page"), "its list of models fails"),
        ("/v1/chat/completions", (429, None), "is listed, but a chat of one token fails: HTTP 429"),
        ("/v1/chat/completions", (200, {}), "is listed, but a chat of one token fails"),
        ("/v1/chat/completions", (200, ["no object"]), "a chat of one token fails: its answer"),
    ],
)
def test_what_failed_at_an_endpoint_is_named(
    llm: Server, path: str, answer: tuple[int, Any], said: str
) -> None:
    llm.answers[path] = answer
    (found,) = endpoint_findings(ask=True)
    assert found.state == "bad"
    assert said in found.seen


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
def test_no_redirect_takes_the_key_to_another_host(llm: Server, path: str, status: int) -> None:
    with serving() as other:
        where = f"{other.address}/elsewhere"
        llm.raw[path] = f"HTTP/1.0 {status} Moved\r\nLocation: {where}\r\n\r\n".encode()
        (found,) = endpoint_findings(ask=True)
        assert other.asked == []
    assert found.state == "bad"
    assert f"HTTP {status}, a redirect, which is not followed" in found.seen


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
@pytest.mark.parametrize(
    "answer", [b"a key is no status\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"]
)
def test_what_is_no_whole_http_answer_is_a_finding(llm: Server, path: str, answer: bytes) -> None:
    llm.raw[path] = answer
    (found,) = endpoint_findings(ask=True)
    assert found.state == "bad"
    assert "no whole answer of a web server" in found.seen
    assert "a key" not in found.seen


def test_a_model_that_an_endpoint_does_not_have_is_named_with_those_it_has(llm: Server) -> None:
    llm.answers["/v1/models"] = (200, {"data": [{"id": "Qwen/Qwen2.5-7B-Instruct"}]})
    llm.answers["/v1/chat/completions"] = (404, None)
    (found,) = endpoint_findings(ask=True)
    assert found.state == "bad"
    assert "gpt-4.1-mini" in found.seen
    assert "Qwen/Qwen2.5-7B-Instruct" in found.seen
    assert "judge.model" in found.mend


def test_a_shipped_profile_of_another_model_is_no_fault_where_ones_own_is_served(
    llm: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = changed(laptop(), judge=JudgeSettings(model="another"))
    monkeypatch.setattr(doctor_endpoint, "PROFILES", {"laptop": laptop, "own": lambda: own})
    llm.answers["/v1/models"] = (200, {"data": [{"id": "another"}]})
    monkeypatch.setattr(
        doctor_endpoint,
        "_chat_fails",
        lambda endpoint, _: "" if endpoint.model == "another" else "HTTP 404",
    )
    assert [one.state for one in endpoint_findings(ask=True)] == ["note", "good"]


def test_without_key_and_address_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (found,) = endpoint_findings(ask=True)
    assert found.state == "note"


def test_gpus_that_a_run_would_leave_idle_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(total_memory=80 * 2**30)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "H100")
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: card)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    found = doctor._graphics()
    assert (found.state, found.seen) == ("note", "4 H100, 80 GiB")
    assert "COOKBOOK_PROCESSES=4" in found.mend
    monkeypatch.setenv("COOKBOOK_PROCESSES", "4")
    assert doctor._graphics().state == "good"
    monkeypatch.delenv("COOKBOOK_PROCESSES")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert (doctor._graphics().state, doctor._graphics().seen) == ("good", "H100, 80 GiB")
