"""A canary key goes to its endpoint and nowhere else, and the pairs' texts into no log."""

import logging
from pathlib import Path

import pytest

from tasks.core.errors import CookbookError
from tasks.core.labeling.client import label_all
from tasks.core.labeling.endpoint import Endpoint, api_key
from tasks.core.labeling.journal import Journal
from tasks.core.policy import Policy
from tests.core.labeling.conftest import make_endpoint, make_requests, right_grade
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint

CANARY = "sk-canary-7f3a9b"


def everything_written(folder: Path, log: str, capture: pytest.CaptureFixture[str]) -> str:
    files = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    out, err = capture.readouterr()
    return "\n".join([*files, log, out, err])


@pytest.mark.parametrize("status", [200, 401, 404, 400, 500])
def test_the_key_is_in_no_journal_log_error_or_repr(
    status: int,
    policy: Policy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CANARY_KEY", CANARY)
    caplog.set_level(logging.DEBUG)

    def script(call: Call) -> Answer:
        if status == 200:
            return right_grade(call)
        return Answer(status=status, error_message=f"Incorrect API key provided: {CANARY}")

    errors = ""
    with ScriptedEndpoint(script) as server, Journal(tmp_path / "j") as journal:
        endpoint = make_endpoint(server, api_key_env="CANARY_KEY")
        try:
            done = label_all(make_requests(4), policy=policy, endpoint=endpoint, journal=journal)
            errors += repr(done)
        except CookbookError as error:
            errors += f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"
        assert {call.headers["authorization"] for call in server.calls} == {f"Bearer {CANARY}"}
    written = everything_written(tmp_path, caplog.text, capsys)
    assert CANARY not in written + errors + repr(endpoint)
    assert "worth 3" not in caplog.text


def test_a_missing_key_is_asked_for_by_the_name_of_its_variable() -> None:
    endpoint = Endpoint("https://api.example/v1", "m", api_key_env="SOME_KEY")
    with pytest.raises(CookbookError, match="SOME_KEY"):
        api_key(endpoint, {})


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown() -> None:
    endpoint = Endpoint("https://api.example/v1", "m", api_key_env="SOME_KEY")
    with pytest.raises(CookbookError) as caught:
        api_key(endpoint, {"SOME_KEY": f"{CANARY}\u2019"})
    assert CANARY not in str(caught.value)
