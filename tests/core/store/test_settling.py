"""A run's decision is kept; a person's stands above it."""

from pathlib import Path

import pytest

from tasks.core.store.registry import Registry
from tasks.core.store.settling import settle


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Two versions, the second in service by a run's decision."""
    registry = Registry(tmp_path / "registry")
    for weights in ("one", "two"):
        (tmp_path / "scorer").write_text(weights)
        version = registry.register({"scorer": tmp_path / "scorer"}, {})
        settle(registry, version, "promoted", ["passes"], by="run")
    return registry


def served(registry: Registry) -> str | None:
    return registry.served_version()


def test_a_run_does_not_undo_a_rollback(registry: Registry) -> None:
    registry.rollback(reason="members complain", by="ana")
    decision, (reason,) = settle(registry, "v0002", "promoted", ["it gains"], by="run")
    assert decision == "refused"
    assert "ana" in reason
    assert "members complain" in reason
    assert served(registry) == "v0001"


def test_a_run_does_not_undo_a_return_by_name(registry: Registry) -> None:
    registry.promote("v0001", reason="the old one was better", by="ana")
    assert settle(registry, "v0002", "promoted", [], by="run")[0] == "refused"
    assert served(registry) == "v0001"


def test_a_candidate_that_a_person_refused_is_not_offered_again(registry: Registry) -> None:
    registry.offer("v0001", reason="passes", by="run")
    registry.refuse("v0001", reason="unfair to part-timers", by="ana")
    decision, (reason,) = settle(registry, "v0001", "waiting", ["passes"], by="run")
    assert decision == "refused"
    assert "unfair" in reason
    assert registry.waiting() == []


def test_a_promotion_by_hand_ends_the_withdrawal(registry: Registry) -> None:
    registry.rollback(reason="members complain", by="ana")
    registry.promote("v0002", reason="they were wrong", by="ana")
    registry.promote("v0001", reason="an earlier run's inputs again", by="run")
    assert settle(registry, "v0002", "promoted", ["it gains"], by="run")[0] == "promoted"
    assert served(registry) == "v0002"


def test_what_a_later_run_replaced_may_come_back_by_its_figures(registry: Registry) -> None:
    assert settle(registry, "v0001", "promoted", ["it gains"], by="run")[0] == "promoted"
    assert served(registry) == "v0001"


def test_a_waiting_candidate_keeps_why_it_waits(registry: Registry) -> None:
    settle(registry, "v0001", "waiting", ["It gains.", "A person decides."], by="run")
    assert registry.waiting() == ["v0001"]
    assert registry.log()[-1]["reason"] == "It gains. A person decides."


def test_what_figures_refused_may_pass_other_gates_later(registry: Registry) -> None:
    registry.offer("v0001", reason="passes", by="run")
    settle(registry, "v0001", "refused", ["below a gate"], by="run")
    assert settle(registry, "v0001", "waiting", ["passes"], by="run")[0] == "waiting"
    assert registry.waiting() == ["v0001"]
