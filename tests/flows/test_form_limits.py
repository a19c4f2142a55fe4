"""Guards the forms: who opens the UI cannot lead the pipeline to models or machines of theirs."""

from typing import Any, get_args

import pytest

from flows import alarms
from flows.cookbook import ProfileName
from flows.deployments import cookbook_in_ui, deployments
from flows.form_limits import BUDGET_VARIABLE, PLACES_VARIABLE, check_form, check_places
from flows.profiles import profile
from tasks.branch import changed
from tasks.core.errors import CookbookError
from tasks.judge_settings import PriceSettings
from tasks.settings import Settings
from tasks.training_settings import BaseModelSettings, FurtherTeacherSettings

# Free texts that a form may hold, and why none of them leads anywhere unwatched.
FREE_TEXTS = {
    "BaseModelSettings.name": "form_limits",
    "FurtherTeacherSettings.folder": "form_limits",
    "ShardSettings.ray_address": "form_limits",
    "BaseModelSettings.revision": "form_limits",
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


def test_a_revision_of_a_strangers_is_refused_unless_the_server_names_it() -> None:
    """Whoever opens a pull request at the hub gives a known model weights of their own."""
    gpu = profile("single_gpu")
    teacher = gpu.policy_teacher
    offered = changed(teacher, base=changed(teacher.base, revision="refs/pr/7"))
    settings, place = changed(gpu, policy_teacher=offered), f"{teacher.base.name}@refs/pr/7"
    with pytest.raises(CookbookError, match=place):
        check_form(settings, {PLACES_VARIABLE: teacher.base.name})
    check_form(settings, {PLACES_VARIABLE: place})


@pytest.mark.parametrize("name", get_args(ProfileName))
def test_every_profile_may_be_filled_in_by_hand(name: ProfileName) -> None:
    check_form(profile(name), {})


def test_the_form_itself_refuses_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(alarms, "show_failure", heard.append)
    monkeypatch.setattr(alarms, "tell", lambda kind, *_: heard.append(kind))
    with pytest.raises(CookbookError, match=PLACES_VARIABLE):
        cookbook_in_ui.fn(settings=elsewhere("/tmp/theirs")["further"])
    assert "/tmp/theirs" in heard[0]
    assert heard[1] == "run-stopped"


@pytest.mark.parametrize("days", [1, 90])
def test_a_form_removes_no_runs(days: int) -> None:
    with pytest.raises(CookbookError, match="cookbook clean"):
        check_form(changed(profile("laptop"), retention_days=days), {})


def spending(usd: float, **judge: Any) -> Settings:
    laptop = profile("laptop")
    return changed(laptop, judge=changed(laptop.judge, budget_usd=usd, **judge))


def test_a_form_spends_what_the_profile_does_or_the_server_allows() -> None:
    usual = profile("laptop").judge.budget_usd
    check_form(spending(usual), {})
    with pytest.raises(CookbookError, match=BUDGET_VARIABLE):
        check_form(spending(usual + 1), {})
    check_form(spending(20), {BUDGET_VARIABLE: "20.5"})
    with pytest.raises(CookbookError, match="spend 20.50 dollars"):
        check_form(spending(21), {BUDGET_VARIABLE: "20.5"})
    with pytest.raises(CookbookError, match="spend 0.00 dollars"):
        check_form(spending(usual), {BUDGET_VARIABLE: "0"})


@pytest.mark.parametrize("said", ["nan", "inf", "-1", "much"])
def test_a_ceiling_that_is_no_amount_is_told(said: str) -> None:
    with pytest.raises(CookbookError, match="is dollars such as"):
        check_form(spending(0), {BUDGET_VARIABLE: said})


def test_a_price_of_ones_own_evades_no_budget() -> None:
    free = PriceSettings(input_usd=0, cached_input_usd=0, output_usd=0)
    with pytest.raises(CookbookError, match="list price"):
        check_form(spending(1, prices=free), {})
    check_form(spending(1, prices=free, base_url="https://llm.example/v1"), {})
    check_form(spending(1, prices=free), {"OPENAI_BASE_URL": "https://llm.example/v1"})


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
