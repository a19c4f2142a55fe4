"""What is only shown never stops a run, whatever Prefect's server answers."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows import ui_artifacts
from flows.approve import approve
from flows.places import REPORTS_VARIABLE, STORE_VARIABLE
from flows.ui_artifacts import UiProgress, show_failure, show_report
from tasks.core.errors import CookbookError

# Only outside of runs, which these tests have none of.
pytestmark = pytest.mark.filterwarnings("ignore:Artifact creation outside:FutureWarning")


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """A server whose database is away: every request to it, each answered with 500."""
    paths: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.send_response(500)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/api"
        with temporary_settings({PREFECT_API_URL: address, PREFECT_CLIENT_MAX_RETRIES: 0}):
            yield paths
        server.shutdown()


def test_progress_that_cannot_be_shown_is_left_out_and_not_tried_at_every_step(
    asked: list[str],
) -> None:
    progress = UiProgress()
    progress("progress", "student", 0.1)
    tries = len(asked)
    assert asked
    progress("progress", "student", 0.2)
    assert len(asked) == tries
    progress("finished", "student", 1.5)
    assert progress.stages == [{"stage": "student", "how": "finished", "seconds": "1.5"}]


def test_a_reason_that_cannot_be_shown_hides_no_error(asked: list[str]) -> None:
    show_failure("The store must be free.")
    assert asked


def test_a_name_in_the_table_of_stages_is_text_and_no_markup(asked: list[str]) -> None:
    """The UI draws each cell as Markdown."""
    progress = UiProgress()
    progress("finished", "<img src=x> [teacher](http://x)", 1.0)
    (shown,) = progress.stages
    assert not {"<img", "[teacher]("} & {*shown["stage"].split(" ")}
    assert shown["stage"].startswith("\\<img src\\=x\\>")


def test_the_report_that_a_run_links_is_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    links: list[str] = []
    monkeypatch.setenv(REPORTS_VARIABLE, "http://127.0.0.1:1/token")
    monkeypatch.setattr(ui_artifacts, "markdown_summary", lambda _: "")
    for name in ("create_markdown_artifact", "create_table_artifact"):
        monkeypatch.setattr(ui_artifacts, name, lambda *_, **__: None)
    monkeypatch.setattr(ui_artifacts, "create_link_artifact", lambda link, **_: links.append(link))
    show_report({"run_key": "ab12"}, "jobs", [])
    assert links == ["http://127.0.0.1:1/token/jobs/ab12/report.html"]


def test_a_decision_that_cannot_be_made_says_why_on_its_page(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path))
    with pytest.raises(CookbookError, match="none does"):
        approve.fn("v0002", "promote", "looks good")
    assert asked  # its reason was offered to the run's page
