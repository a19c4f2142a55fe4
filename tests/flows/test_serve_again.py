"""`cookbook serve` started again: what people changed in the UI stays, and what was paused runs."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.runner import Runner
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import local_server, rows
from flows.commands import operations
from flows.deployments import deployments
from flows.left_in_ui import as_left
from flows.local_server import prefect_server_with_ui
from flows.places import REPORTS_VARIABLE, ROOT_VARIABLE, SERVER_PID_VARIABLE, STORE_VARIABLE
from flows.serve_options import AS_SHIPPED, ServeOptions
from flows.stale_runs import SILENCE, _silence_automation, watch_for_silence

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        with prefect_server_with_ui(port) as address:
            yield address


@pytest.fixture
def client(address: str) -> Iterator[SyncPrefectClient]:
    with (
        temporary_settings({PREFECT_API_URL: f"{address}/api"}),
        get_client(sync_client=True) as client,
    ):
        yield client


def start(options: ServeOptions = AS_SHIPPED) -> None:
    """What `cookbook serve` does of this at each start."""
    for one in as_left(deployments(options), options):
        # Outside an event loop this is no coroutine, whatever its type says.
        one.apply()  # type: ignore[unused-coroutine]


def found(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    return client.read_deployment_by_name(f"{name}/{name}")


def times(deployment: DeploymentResponse) -> list[tuple[str, str | None, bool]]:
    return [
        (one.schedule.cron, one.schedule.timezone, one.active)
        for one in deployment.schedules
        if isinstance(one.schedule, CronSchedule)
    ]


def change_in_ui(client: SyncPrefectClient, name: str, cron: str, *, active: bool) -> UUID:
    """Replace a deployment's schedules, as a person does in the UI."""
    deployment = found(client, name)
    for one in deployment.schedules:
        client.delete_deployment_schedule(deployment.id, one.id)
    schedule = CronSchedule(cron=cron, timezone="Asia/Tokyo")
    client.create_deployment_schedules(deployment.id, [(schedule, active)])
    return deployment.id


@pytest.mark.parametrize("changed_in_ui", [False, True])
def test_an_automation_of_an_earlier_version_gets_the_patience_of_this_one(
    client: SyncPrefectClient, changed_in_ui: bool
) -> None:
    """At 90 seconds it took runs for dead that were sitting out a server's absence."""
    earlier = _silence_automation()
    assert isinstance(earlier.trigger, EventTrigger)
    trigger = earlier.trigger.model_copy(update={"within": timedelta(seconds=90)})
    said = "Ours." if changed_in_ui else "No heartbeat for 90 s: the process was killed."
    core = earlier.model_dump(exclude={"id", "owner_resource"})
    made = client.create_automation(
        AutomationCore(**{**core, "trigger": trigger, "description": said, "enabled": False})
    )
    watch_for_silence()
    found = client.read_automation(made)
    assert found is not None
    assert found.trigger.within == (timedelta(seconds=90) if changed_in_ui else SILENCE)
    assert not found.enabled
    client.delete_automation(made)


def test_what_was_moved_paused_or_removed_in_the_ui_stays(client: SyncPrefectClient) -> None:
    start()
    assert times(found(client, "retrain")) == [("0 2 * * 1", "UTC", True)]
    change_in_ui(client, "retrain", "5 5 * * *", active=False)
    change_in_ui(client, "label", "6 6 * * *", active=True)
    daily = found(client, "personalize")
    client.delete_deployment_schedule(daily.id, daily.schedules[0].id)
    start()
    assert times(found(client, "retrain")) == [("5 5 * * *", "Asia/Tokyo", False)]
    assert times(found(client, "label")) == [("6 6 * * *", "Asia/Tokyo", True)]
    assert times(found(client, "personalize")) == []


def test_what_an_option_names_holds_and_nothing_else_changes(client: SyncPrefectClient) -> None:
    start()
    change_in_ui(client, "retrain", "5 5 * * *", active=False)
    start(ServeOptions(timezone="Europe/Berlin"))
    assert times(found(client, "retrain")) == [("5 5 * * *", "Europe/Berlin", False)]
    start(ServeOptions(retrain_cron="7 7 * * *"))
    assert times(found(client, "retrain")) == [("7 7 * * *", "Europe/Berlin", True)]
    start(ServeOptions(retrain_cron="none"))
    assert times(found(client, "retrain")) == []


def test_the_domain_that_was_given_stays_until_another_is(client: SyncPrefectClient) -> None:
    start(ServeOptions(domain="jobs2", profile="smoke"))
    start()
    assert found(client, "retrain").parameters == {"domain": "jobs2", "profile": "smoke"}
    start(ServeOptions(domain="jobs3"))
    assert found(client, "retrain").parameters == {"domain": "jobs3", "profile": "smoke"}
    assert found(client, "approve").parameters == {"domain": "jobs3"}


def test_a_deployment_that_an_earlier_version_left_paused_is_active_again(
    client: SyncPrefectClient,
) -> None:
    start()
    client._client.post(f"/deployments/{found(client, 'retrain').id}/pause_deployment")
    assert found(client, "retrain").paused
    start()
    assert not found(client, "retrain").paused


def test_a_stop_leaves_deployments_active_so_that_what_falls_due_is_made_up_for(
    client: SyncPrefectClient,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Prefect's own way is to pause at the end, which deletes every run that waits."""
    runners: list[Runner] = []

    async def served(made: list[Runner]) -> None:
        runners.extend(made)

    for name in (SERVER_PID_VARIABLE, ROOT_VARIABLE, STORE_VARIABLE, REPORTS_VARIABLE):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(local_server, "prefect_server_with_ui", lambda _: nullcontext(address))
    monkeypatch.setattr(rows, "_together", served)
    operations.serve(store=tmp_path, options=ServeOptions(domain="job_search"))
    assert [(one.pause_on_shutdown, one.limit) for one in runners] == [(False, 1)] * 3
    assert "/job_search/report.html" in capsys.readouterr().out


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1"])
def test_a_page_of_another_host_reads_nothing(address: str, origin: str) -> None:
    assert allowed(address, origin) is None


def test_the_ui_itself_may_read(address: str) -> None:
    port = address.rsplit(":", 1)[1]
    for own in (address, f"http://localhost:{port}"):
        assert allowed(address, own) == own


def test_a_page_of_another_host_starts_nothing(address: str) -> None:
    """What a browser sends without asking first, a form's kinds of content, is no JSON here."""
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"Origin": "http://evil.example", "Content-Type": kind}
        request = urllib.request.Request(f"{address}/api/flows/", b'{"name": "theirs"}', headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        assert refused.value.code == 422
        refused.value.close()


def allowed(address: str, origin: str) -> str | None:
    """The origin that an answer may be read by, as the server says."""
    request = urllib.request.Request(f"{address}/api/health", headers={"Origin": origin})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: str | None = answer.headers["Access-Control-Allow-Origin"]
        return found
