"""A server as docs/exposed.md recommends it, with basic auth and CSRF protection."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.states import Running

from flows.doctor_server import server_findings
from flows.local_server import check_server, prefect_server
from flows.stale_runs import close_runs_of_an_earlier_serve

pytestmark = pytest.mark.slow
PASSWORD = "admin:a password"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        patch.setenv("PREFECT_SERVER_API_AUTH_STRING", PASSWORD)
        patch.setenv("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "true")
        with prefect_server() as address:
            check_server(address)
            yield address


@pytest.fixture
def client(address: str) -> Iterator[SyncPrefectClient]:
    known = {PREFECT_API_URL: address, PREFECT_API_AUTH_STRING: PASSWORD}
    with temporary_settings(known), get_client(sync_client=True) as client:
        yield client


def test_the_doctor_finds_it_healthy(client: SyncPrefectClient) -> None:
    found = list(server_findings())
    assert [(one.subject, one.state) for one in found] == [
        ("Prefect server", "good"),
        ("stale runs", "good"),
        ("database", "good"),
    ]


@pytest.mark.parametrize("password", [None, "admin:another"])
def test_a_server_that_refuses_the_doctor_is_one_line_with_what_to_set(
    address: str, password: str | None
) -> None:
    with temporary_settings({PREFECT_API_AUTH_STRING: password}):
        (finding,) = server_findings()
    assert finding.state == "bad"
    assert "401" in finding.seen
    assert "PREFECT_API_AUTH_STRING" in finding.mend


def test_a_new_serve_ends_the_runs_of_this_projects_deployments_and_nobody_elses(
    client: SyncPrefectClient,
) -> None:
    runs = {
        name: running(client, *name)
        for name in (("label", "label"), ("theirs", "theirs"), ("theirs", "label"))
    }
    assert close_runs_of_an_earlier_serve() == [runs["label", "label"].name]
    states = {name: client.read_flow_run(run.id).state_type for name, run in runs.items()}
    assert states == {
        ("label", "label"): StateType.CRASHED,
        ("theirs", "theirs"): StateType.RUNNING,
        ("theirs", "label"): StateType.RUNNING,
    }


def running(client: SyncPrefectClient, of: str, name: str) -> Any:
    """A run of a flow's deployment without a work pool, at work."""

    @flow(name=of)
    def anything() -> None: ...

    made = client.create_deployment(client.create_flow(anything), name)
    run = client.create_flow_run_from_deployment(made)
    client.set_flow_run_state(run.id, Running(timestamp=datetime.now(UTC)), force=True)
    return run
