"""What a start that comes late does, and who hears how a run ended."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest

from flows import alarms, personalize, places, score, watched
from flows.deployments import cookbook_in_ui
from flows.form_limits import BUDGET_VARIABLE
from flows.label import label
from flows.places import STORE_VARIABLE
from flows.profiles import profile
from flows.retrain import retrain
from tasks.core.errors import CookbookError

NOT_SCHEDULED = {"scheduled_start_time": None}
DUE = datetime(2026, 11, 23, 4, tzinfo=UTC)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    """(event or artifact, its text), in order; runs write to a store of the test's own."""
    heard: list[tuple[str, str]] = []

    def event(event: str, resource: dict[str, str], payload: dict[str, str]) -> None:
        assert resource["cookbook.domain"] == "jobs"
        heard.append((event, payload["message"]))

    monkeypatch.setattr(alarms, "emit_event", event)
    monkeypatch.setattr(alarms, "show_failure", lambda reason: heard.append(("page", reason)))
    monkeypatch.setattr(alarms, "show_choice", lambda *which: heard.append(("choice", str(which))))
    monkeypatch.setattr(watched, "show_failure", lambda reason: heard.append(("page", reason)))
    monkeypatch.setattr(personalize, "create_markdown_artifact", lambda *_, **__: None)
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path))
    return heard


def start(
    monkeypatch: pytest.MonkeyPatch,
    parameters: dict[str, Any],
    *,
    now: datetime = DUE + timedelta(minutes=5),
    completed: tuple[dict[str, Any], ...] = (),
    of: Any = personalize.personalize,
) -> Any:
    """The state that ends a start due at DUE before it begins, or None; by the clock given.

    ``completed`` are the parameters of runs of the deployment that have started since, as the
    server keeps them.
    """

    class Client:
        def read_flow_runs(self, **_: object) -> list[Any]:
            return [SimpleNamespace(name="busy-owl", parameters=one) for one in completed]

    @contextmanager
    def get_client(**_: object) -> Iterator[Client]:
        yield Client()

    run = SimpleNamespace(scheduled_start_time=DUE, parameters=parameters)
    runtime = SimpleNamespace(flow_run=run, deployment=SimpleNamespace(id=uuid4()))
    context = SimpleNamespace(get=lambda: SimpleNamespace(flow=of))
    monkeypatch.setattr(watched, "runtime", runtime)
    monkeypatch.setattr(watched, "FlowRunContext", context)
    monkeypatch.setattr(watched, "get_client", get_client)
    monkeypatch.setattr(places, "time", SimpleNamespace(time=now.timestamp))
    return watched.too_late(parameters["maximum_lateness_hours"])


def asked(**parameters: Any) -> dict[str, Any]:
    return {"profile": "laptop", "domain": "jobs", "maximum_lateness_hours": 12.0, **parameters}


@pytest.mark.parametrize(
    "other",
    [
        asked(domain="products"),
        asked(profile="smoke"),
        {},  # as the server keeps a schedule's: the flow's default is another domain
    ],
)
def test_a_run_that_did_something_else_makes_up_for_nothing(
    monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, str]], other: dict[str, Any]
) -> None:
    assert start(monkeypatch, asked(), completed=(other,)) is None
    assert told == []


@pytest.mark.parametrize("other", [asked(maximum_lateness_hours=2.0), {"domain": "jobs"}])
def test_a_run_that_did_the_same_makes_up_for_it(
    monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, str]], other: dict[str, Any]
) -> None:
    skipped = start(monkeypatch, asked(), completed=(asked(domain="products"), other))
    assert skipped.is_cancelled()
    assert "busy-owl" in skipped.message
    assert [kind for kind, _ in told] == ["page", "cookbook.scheduled-run-skipped"]


def test_a_stricter_gate_is_not_made_up_for_by_a_looser_one(
    monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, str]]
) -> None:
    own = asked(must_gain=True, approval="required")
    done = asked(must_gain=True)
    assert start(monkeypatch, own, completed=(done,), of=retrain) is None


@pytest.mark.parametrize("hours", [0, 1, 24, 24 * 365])
def test_a_clock_that_was_set_back_makes_no_start_late(
    monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, str]], hours: float
) -> None:
    shortest = asked(maximum_lateness_hours=0.01)
    assert start(monkeypatch, shortest, now=DUE - timedelta(hours=hours)) is None
    assert places.lateness_s(DUE.timestamp()) == 0.0


def test_a_clock_that_went_a_day_ahead_skips_what_is_late_by_its_own_rule_alone(
    monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, str]]
) -> None:
    ahead = DUE + timedelta(days=1)
    assert start(monkeypatch, asked(maximum_lateness_hours=24.0), now=ahead) is None
    assert start(monkeypatch, asked(maximum_lateness_hours=744.0), now=ahead) is None
    assert places.lateness_s(DUE.timestamp()) == 24 * 3600
    assert told == []
    skipped = start(monkeypatch, asked(maximum_lateness_hours=12.0), now=ahead)
    assert skipped.is_cancelled()
    assert "over 12 hours ago" in skipped.message
    assert "2026-11-23 04:00" in skipped.message


def fails(error: Exception) -> Callable[..., Any]:
    def run(*_: object, **__: object) -> Any:
        raise error

    return run


FLOWS = {
    "label": (watched, "cookbook", lambda: label.fn("smoke", "jobs")),
    "personalize": (personalize, "refresh", lambda: personalize.personalize.fn("smoke", "jobs")),
    "score": (score, "open_model", lambda: score.score.fn(domain="jobs")),
}


@pytest.mark.parametrize("name", FLOWS)
def test_a_full_disk_is_told_by_every_flow_and_the_run_still_fails(
    monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, str]], name: str
) -> None:
    module, part, flow = FLOWS[name]
    run = fails(OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(module, part, run if name == "score" else SimpleNamespace(fn=run))
    with pytest.raises(OSError, match="No space"):
        flow()
    assert [kind for kind, _ in told] == ["page", "cookbook.run-stopped"]
    assert all("make room" in text for _, text in told)


def test_a_foreign_error_is_told_without_its_words(told: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match="Ann"), alarms.told("jobs"):
        raise ValueError("cannot read 'Ann, night nurse of Bergen'")
    assert [kind for kind, _ in told] == ["page", "cookbook.run-stopped"]
    assert all("ValueError" in text and "Ann" not in text for _, text in told)


SPENDING = {
    "cookbook": lambda: cookbook_in_ui.fn("linkedin", "jobs"),
    "retrain": lambda: retrain.fn("linkedin", "jobs"),
    "label": lambda: label.fn("linkedin", "jobs"),
}


@pytest.mark.parametrize("name", SPENDING)
@pytest.mark.parametrize(("said", "most"), [("20.5", 20.5), ("", 10_000), ("20000", 10_000)])
def test_a_profile_by_name_spends_no_more_than_the_server_allows(
    monkeypatch: pytest.MonkeyPatch,
    told: list[tuple[str, str]],
    name: str,
    said: str,
    most: float,
) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, said)
    run = Mock(side_effect=CookbookError("far enough"))
    monkeypatch.setattr(watched, "cookbook", SimpleNamespace(fn=run))
    monkeypatch.setattr(watched, "runtime", SimpleNamespace(flow_run=Mock(**NOT_SCHEDULED)))
    with pytest.raises(CookbookError, match="far enough"):
        SPENDING[name]()
    settings = run.call_args.args[0] or profile(run.call_args.args[1])
    assert settings.judge.budget_usd == most


@pytest.mark.parametrize(
    ("decision", "heard"),
    [
        ("promoted", ["cookbook.promoted"]),
        ("refused", ["cookbook.refused"]),
        ("waiting", ["choice", "cookbook.waiting"]),
        ("skipped", []),
    ],
)
def test_what_a_refresh_came_to_is_told(
    monkeypatch: pytest.MonkeyPatch,
    told: list[tuple[str, str]],
    decision: str,
    heard: list[str],
) -> None:
    found = {"decision": decision, "version": "v0003", "reasons": ["Because."]}
    monkeypatch.setattr(personalize, "refresh", SimpleNamespace(fn=lambda *_: found))
    ended = personalize.personalize.fn("smoke", "jobs")
    assert ended.is_completed()
    assert [kind for kind, _ in told] == heard
    assert all("v0003" in text for _, text in told)


def test_what_people_wrote_into_a_reason_is_text_on_the_page_of_a_refresh(
    monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, str]]
) -> None:
    reasons = ["v0003 was taken out by ana: see [this](http://evil.example) <img src=x>."]
    found = {"decision": "refused", "version": "v0003", "reasons": reasons}
    shown = Mock()
    monkeypatch.setattr(personalize, "create_markdown_artifact", shown)
    monkeypatch.setattr(personalize, "refresh", SimpleNamespace(fn=lambda *_: found))
    assert personalize.personalize.fn("smoke", "jobs").message.endswith(reasons[0])
    (page,) = shown.call_args.args
    assert r"\[this\]" in page
    assert r"\<img" in page


@pytest.mark.parametrize(
    ("decision", "changed", "news"),
    [
        ("promoted", True, True),
        ("promoted", False, False),
        ("refused", False, True),
        ("waiting", False, True),
    ],
)
def test_a_run_that_makes_the_model_in_service_again_announces_no_promotion(
    monkeypatch: pytest.MonkeyPatch, decision: str, changed: bool, news: bool
) -> None:
    promotion = {"decision": decision, "changed": changed, "version": "v1", "reasons": ["why"]}
    report: dict[str, Any] = {"promotion": promotion, "domain": "jobs"}
    ran = SimpleNamespace(fn=lambda *_: report)
    for name in ("served_root", "served_store", "show_report"):
        monkeypatch.setattr(watched, name, Mock())
    monkeypatch.setattr(watched, "cookbook", ran)
    tell = Mock()
    monkeypatch.setattr(watched, "tell_decision", tell)
    assert watched.watched("smoke", "jobs", None).is_completed()
    assert [call.args[:2] for call in tell.call_args_list] == ([(decision, "jobs")] if news else [])
