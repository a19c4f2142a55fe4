"""Reports are for those who know the token, and nothing else is served."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.report_server import ADDRESS, serve_reports


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = tmp_path_factory.mktemp("runs")
    finished = store / "jobs" / "finished" / "ab"
    finished.mkdir(parents=True)
    (finished / "report.html").write_text("<h1>Promoted</h1>")
    (finished / "secret.txt").write_text("secret")
    older = store / "jobs" / "finished" / "cd"
    older.mkdir()
    (older / "report.html").write_text("<h1>Refused</h1>")
    (store / "jobs" / "latest").symlink_to("finished/ab")
    (store / "secret.txt").write_text("secret")
    with serve_reports(store) as address:
        yield address


def status(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_report_is_served_without_leave_to_run_scripts(address: str) -> None:
    with urllib.request.urlopen(f"{address}/jobs/report.html", timeout=60) as answer:
        assert answer.read() == b"<h1>Promoted</h1>"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "DENY"


def test_the_report_of_an_earlier_run_is_served_by_the_name_of_the_run(address: str) -> None:
    with urllib.request.urlopen(f"{address}/jobs/cd/report.html", timeout=60) as answer:
        assert answer.read() == b"<h1>Refused</h1>"


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/secret.txt",
        "/jobs/ab/secret.txt",
        "/jobs/%2e%2e/report.html",
        "/jobs/absent/report.html",
        "/jobs/../secret.txt",
        "/../secret.txt/report.html",
        "/%2e%2e/report.html",
        "/jobs%2Flatest/report.html",
        "/absent/report.html",
        "/jobs/",
        "/",
    ],
)
def test_nothing_else_is_served(address: str, path: str) -> None:
    assert status(address + path) == 404


def test_the_token_is_needed(address: str) -> None:
    base, token = address.rsplit("/", 1)
    assert status(f"{base}/{'x' * len(token)}/jobs/report.html") == 404
    assert status(f"{base}/jobs/report.html") == 404


def test_it_listens_on_loopback_alone(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")


def test_a_link_holds_when_the_server_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "latest").mkdir(parents=True)
    (tmp_path / "jobs" / "latest" / "report.html").write_text("<h1>Waits</h1>")
    with serve_reports(tmp_path) as before:
        pass
    with serve_reports(tmp_path) as after:
        assert status(f"{before}/jobs/report.html") == 200
    assert before == after
    assert (tmp_path / ADDRESS).stat().st_mode & 0o777 == 0o600


def test_no_two_stores_share_a_token(tmp_path: Path) -> None:
    with serve_reports(tmp_path / "one") as one, serve_reports(tmp_path / "two") as two:
        assert one.rsplit("/", 1)[1] != two.rsplit("/", 1)[1]


def test_where_the_port_is_taken_another_one_is_kept_and_the_token_stays(tmp_path: Path) -> None:
    with serve_reports(tmp_path) as before:
        pass
    port = int(before.rsplit(":", 1)[1].partition("/")[0])
    with socket.create_server(("127.0.0.1", port)), serve_reports(tmp_path) as moved:
        assert moved != before
        assert moved.rsplit("/", 1)[1] == before.rsplit("/", 1)[1]
    with serve_reports(tmp_path) as after:
        assert after == moved


@pytest.mark.parametrize("kept", ["", "[]", '{"port": "x", "token": 1}', '{"port": 1}'])
def test_a_damaged_address_is_made_anew(tmp_path: Path, kept: str) -> None:
    (tmp_path / ADDRESS).write_text(kept)
    (tmp_path / ADDRESS).chmod(0o600)
    with serve_reports(tmp_path) as address:
        assert len(address.rsplit("/", 1)[1]) >= 32


def test_a_token_that_others_could_read_is_not_used_again(tmp_path: Path) -> None:
    with serve_reports(tmp_path) as before:
        pass
    (tmp_path / ADDRESS).chmod(0o644)
    with serve_reports(tmp_path) as after:
        assert before.rsplit("/", 1)[1] != after.rsplit("/", 1)[1]
    assert (tmp_path / ADDRESS).stat().st_mode & 0o777 == 0o600
