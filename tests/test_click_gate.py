"""A day without its click log takes nothing from members unseen."""

import json
from pathlib import Path

import pytest

from tasks.click_gate import lost_clicks
from tasks.core.store.registry import Registry
from tasks.core.store.versions import Model


def version(tmp_path: Path, actions: list[str], *, effects: bool) -> Model:
    (tmp_path / "scorer").mkdir()
    (tmp_path / "scorer" / "cookbook.json").write_text(json.dumps({"actions": actions}))
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
    lost = lost_clicks(served, actions=actions, has_effects=has_effects)
    assert ("clicks" in lost) == (bool(served_actions) and not actions)
    assert ("personal effects" in lost) == (served_effects and not has_effects)
