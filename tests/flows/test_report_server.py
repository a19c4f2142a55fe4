"""Reports are for those who know the token, and nothing else is served."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from flows.report_server import serve_reports


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
