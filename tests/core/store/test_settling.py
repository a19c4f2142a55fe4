"""A run's decision is kept; a person's stands above it."""

import threading
from pathlib import Path

import pytest

from tasks.core.promotion import Decision
from tasks.core.store import settling
from tasks.core.store.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Two versions, the second in service by a run's decision."""
    registry = Registry(tmp_path / "registry")
    for weights in ("one", "two"):
        (tmp_path / "scorer").write_text(weights)
        version = registry.register({"scorer": tmp_path / "scorer"}, {})
        settle(registry, version, "promoted", ["passes"])
    return registry


def settle(
    registry: Registry, version: str, decision: Decision, reasons: list[str]
) -> tuple[Decision, list[str]]:
    """Settle against what serves now: nothing came between figures and decision."""
    return settle_against(registry.served_version(), registry, version, decision, reasons)


def settle_against(
    compared: str | None, registry: Registry, version: str, decision: Decision, reasons: list[str]
) -> tuple[Decision, list[str]]:
    return settling.settle(registry, version, decision, reasons, compared_with=compared, by="run")


def served(registry: Registry) -> str | None:
    return registry.served_version()


def test_a_run_does_not_undo_a_rollback(registry: Registry) -> None:
    registry.rollback(reason="members complain", by="ana")
    decision, (reason,) = settle(registry, "v0002", "promoted", ["it gains"])
    assert decision == "refused"
    assert "ana" in reason
    assert "members complain" in reason
    assert served(registry) == "v0001"


def test_a_run_does_not_undo_a_return_by_name(registry: Registry) -> None:
    registry.promote("v0001", reason="the old one was better", by="ana")
    assert settle(registry, "v0002", "promoted", [])[0] == "refused"
    assert served(registry) == "v0001"


def test_a_candidate_that_a_person_refused_is_not_offered_again(registry: Registry) -> None:
    registry.offer("v0001", reason="passes", by="run")
    registry.refuse("v0001", reason="unfair to part-timers", by="ana")
    decision, (reason,) = settle(registry, "v0001", "waiting", ["passes"])
    assert decision == "refused"
    assert "unfair" in reason
    assert registry.waiting() == []


def test_a_promotion_by_hand_ends_the_withdrawal(registry: Registry) -> None:
    registry.rollback(reason="members complain", by="ana")
    registry.promote("v0002", reason="they were wrong", by="ana")
    registry.promote("v0001", reason="an earlier run's inputs again", by="run")
    assert settle(registry, "v0002", "promoted", ["it gains"])[0] == "promoted"
    assert served(registry) == "v0002"


def test_what_a_later_run_replaced_may_come_back_by_its_figures(registry: Registry) -> None:
    assert settle(registry, "v0001", "promoted", ["it gains"])[0] == "promoted"
    assert served(registry) == "v0001"


def test_a_waiting_candidate_keeps_why_it_waits(registry: Registry) -> None:
    settle(registry, "v0001", "waiting", ["It gains.", "A person decides."])
    assert registry.waiting() == ["v0001"]
    assert registry.log()[-1]["reason"] == "It gains. A person decides."


def test_what_a_killed_run_left_undecided_is_decided_by_the_next(
    registry: Registry, tmp_path: Path
) -> None:
    for decision in ("refused", "waiting", "promoted"):
        (tmp_path / "scorer").write_text(decision)
        files = {"scorer": tmp_path / "scorer"}
        version = registry.register(files, {})
        assert registry.register(files, {}) == version
        settle(registry, version, decision, ["by the gates"])
        assert registry.log()[-1]["event"] == decision
        assert version not in registry.undecided() or decision == "waiting"


def test_what_figures_refused_may_pass_other_gates_later(registry: Registry) -> None:
    registry.offer("v0001", reason="passes", by="run")
    settle(registry, "v0001", "refused", ["below a gate"])
    assert settle(registry, "v0001", "waiting", ["passes"])[0] == "waiting"
    assert registry.waiting() == ["v0001"]


@pytest.mark.parametrize("decision", ["promoted", "waiting"])
def test_figures_against_another_model_than_the_one_in_service_decide_nothing(
    registry: Registry, tmp_path: Path, decision: Decision
) -> None:
    """A person goes back while the candidate is compared with what they went back from."""
    (tmp_path / "scorer").write_text("three")
    version = registry.register({"scorer": tmp_path / "scorer"}, {})
    compared = served(registry)
    registry.rollback(reason="members complain", by="ana")
    settled, (reason,) = settle_against(compared, registry, version, decision, ["it gains"])
    assert settled == "refused"
    assert "compared with v0002, and meanwhile v0001 came into service" in reason
    assert served(registry) == "v0001"
    assert registry.undecided() == []
    # The next run compares it with what serves, and may promote it.
    assert settle(registry, version, "promoted", ["it gains"])[0] == "promoted"
    assert served(registry) == version


def test_a_first_model_does_not_replace_one_that_came_meanwhile(registry: Registry) -> None:
    assert settle_against(None, registry, "v0001", "promoted", [])[0] == "refused"
    assert served(registry) == "v0002"


def test_a_candidate_that_a_person_promoted_meanwhile_serves(registry: Registry) -> None:
    registry.promote("v0001", reason="the next run", by="run")
    registry.promote("v0002", reason="checked by hand", by="ana")
    assert settle_against("v0001", registry, "v0002", "promoted", ["gains"])[0] == "promoted"
    assert served(registry) == "v0002"
    assert registry.log()[-1]["by"] == "ana"


def test_nobody_changes_what_serves_between_the_last_look_and_the_pointer(
    registry: Registry,
) -> None:
    other, entered = Registry(registry.folder), threading.Event()

    def roll_back() -> None:
        entered.set()
        other.rollback(reason="members complain", by="ana")

    person = threading.Thread(target=roll_back)
    with registry.writing():
        person.start()
        entered.wait()
        person.join(timeout=0.3)
        assert person.is_alive()
        assert served(registry) == "v0002"
        registry.promote("v0001", reason="gains", by="run")
    person.join()
    assert [entry["by"] for entry in registry.log()[-2:]] == ["run", "ana"]
