"""Guards the forms: who opens the UI cannot lead the pipeline to models or machines of theirs."""

from typing import Any, get_args

import pytest

from flows import alarms
from flows.cookbook import ProfileName
from flows.deployments import cookbook_in_ui, deployments
from flows.form_limits import PLACES_VARIABLE, check_places
from flows.profiles import profile
from tasks.branch import changed
from tasks.core.errors import CookbookError
from tasks.settings import Settings
from tasks.training_settings import BaseModelSettings, FurtherTeacherSettings

# Free texts that a form may hold, and why none of them leads anywhere unwatched.
FREE_TEXTS = {
    "BaseModelSettings.name": "form_limits",
    "FurtherTeacherSettings.folder": "form_limits",
    "ShardSettings.ray_address": "form_limits",
    "BaseModelSettings.revision": "of a model that form_limits allows",
    "JudgeSettings.base_url": "tasks/core/labeling/address.py: hosts the environment names",
    "JudgeSettings.model": "a name sent to that host",
    "JudgeSettings.pinned_model": "a name compared with the host's answer",
    "MitigationSettings.attribute": "a column of the domain's members",
}


def elsewhere(place: str) -> dict[str, Settings]:
    """The laptop's settings, led to a place by each of the ways there are."""
    laptop = profile("laptop")
    model = BaseModelSettings(source="hub", name=place)
    shards = changed(laptop.personalization.shards, ray_address=place)
    return {
        "encoder": changed(laptop, encoder=model),
        "teacher": changed(laptop, policy_teacher=changed(laptop.policy_teacher, base=model)),
        "further": changed(
            laptop, further_teachers=(FurtherTeacherSettings(name="other", folder=place),)
        ),
        "cluster": changed(laptop, personalization=changed(laptop.personalization, shards=shards)),
    }


@pytest.mark.parametrize("way", ["encoder", "teacher", "further", "cluster"])
def test_a_place_of_a_strangers_is_refused_unless_the_server_names_it(way: str) -> None:
    place = "10.9.8.7:6379"
    with pytest.raises(CookbookError, match=f"'{place}'.*{PLACES_VARIABLE}"):
        check_places(elsewhere(place)[way], {PLACES_VARIABLE: "head:6379"})
    check_places(elsewhere(place)[way], {PLACES_VARIABLE: f"head:6379, {place}"})


@pytest.mark.parametrize("name", get_args(ProfileName))
def test_every_profile_may_be_filled_in_by_hand(name: ProfileName) -> None:
    check_places(profile(name), {})


def test_the_form_itself_refuses_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(alarms, "show_failure", heard.append)
    monkeypatch.setattr(alarms, "tell", lambda kind, *_: heard.append(kind))
    with pytest.raises(CookbookError, match=PLACES_VARIABLE):
        cookbook_in_ui.fn(settings=elsewhere("/tmp/theirs")["further"])
    assert "/tmp/theirs" in heard[0]
    assert heard[1] == "run-stopped"


def test_a_new_free_text_in_a_form_is_thought_of() -> None:
    """Every string without choices or a pattern: add it above with what holds it."""
    (form,) = (one for one in deployments() if one.name == "cookbook")
    definitions = form._parameter_openapi_schema.definitions
    free = {
        f"{owner}.{field}"
        for owner, schema in definitions.items()
        for field, of in schema.get("properties", {}).items()
        if any(_is_free_text(one) for one in (of, *of.get("anyOf", []), of.get("items", {})))
    }
    assert free == FREE_TEXTS.keys()


def _is_free_text(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "string" and not {"enum", "const", "pattern"} & schema.keys()
