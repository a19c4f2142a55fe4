"""A day without its click log takes nothing from members unseen."""

import json
from pathlib import Path

import pytest

from tasks.click_gate import lost_clicks
from tasks.core.promotion import Lost
from tasks.core.store.registry import Registry
from tasks.core.store.versions import Model
from tasks.core.training.scorer import GOALS, Goal


def version(
    tmp_path: Path, actions: list[str], *, effects: bool, taught: tuple[Goal, ...] = GOALS
) -> Model:
    (tmp_path / "scorer").mkdir()
    card = {"actions": actions, "taught": taught}
    (tmp_path / "scorer" / "cookbook.json").write_text(json.dumps(card))
    (tmp_path / "effects").mkdir()
    (tmp_path / "effects" / "effects.json").write_text("{}")
    names = ("scorer", "effects") if effects else ("scorer",)
    registry = Registry(tmp_path / "registry")
    return registry.model(registry.register({name: tmp_path / name for name in names}, {}))


@pytest.mark.parametrize("served_effects", [True, False])
@pytest.mark.parametrize("served_actions", [["clicked"], []])
@pytest.mark.parametrize("actions", [["clicked"], []])
@pytest.mark.parametrize("has_effects", [True, False])
def test_a_candidate_loses_what_the_model_in_service_has_and_it_lacks(
    tmp_path: Path,
    served_actions: list[str],
    served_effects: bool,
    actions: list[str],
    has_effects: bool,
) -> None:
    served = version(tmp_path, served_actions, effects=served_effects)
    lost = lost_clicks(served, actions=actions, taught=GOALS, has_effects=has_effects)
    names = lost.names if lost else ()
    assert ("clicks" in names) == (bool(served_actions) and not actions)
    assert ("personal effects" in names) == (served_effects and not has_effects)


def test_relevance_alone_is_a_choice_where_the_log_was_there(tmp_path: Path) -> None:
    """The outputs of actions come from the log, what was taught comes from the mix."""
    served = version(tmp_path, ["clicked"], effects=True)
    chosen = lost_clicks(served, actions=["clicked"], taught=("grades",), has_effects=False)
    assert chosen == Lost(("personal effects",), by_choice=True)
    no_log = lost_clicks(served, actions=[], taught=("grades",), has_effects=False)
    assert no_log == Lost(("clicks", "personal effects"), by_choice=False)


def test_a_model_in_service_that_was_taught_no_clicks_has_none_to_lose(tmp_path: Path) -> None:
    served = version(tmp_path, ["clicked"], effects=False, taught=("grades",))
    assert lost_clicks(served, actions=[], taught=("grades",), has_effects=False) is None
