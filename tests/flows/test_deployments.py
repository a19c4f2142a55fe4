"""What the UI offers: deployments with forms, limits, and schedules with a time zone."""

from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment

from flows.deployments import deployments
from flows.rows import rows
from flows.serve_options import ServeOptions
from flows.ui_artifacts import artifact_key
from tasks.core.errors import CookbookError
from tests.flows.smoke import PROJECT


@pytest.fixture(scope="module")
def offered() -> dict[str, RunnerDeployment]:
    return {str(one.name): one for one in deployments()}


def properties(deployment: RunnerDeployment) -> dict[str, Any]:
    found: dict[str, Any] = deployment._parameter_openapi_schema.properties
    return found


def test_all_are_offered_with_a_description_and_tags(
    offered: dict[str, RunnerDeployment],
) -> None:
    runs = {"cookbook", "retrain", "personalize", "label", "score", "approve", "intents"}
    assert set(offered) == runs
    assert all(len(str(one.description)) > 60 and one.tags for one in offered.values())


def test_no_two_runs_of_one_deployment_and_no_schedule_that_queues(
    offered: dict[str, RunnerDeployment],
) -> None:
    for name, one in offered.items():
        assert one.concurrency_limit == 1
        assert one.concurrency_options is not None
        strategy = one.concurrency_options.collision_strategy.value
        scheduled = name in ("retrain", "personalize")
        assert strategy == ("CANCEL_NEW" if scheduled else "ENQUEUE")
        assert bool(one.schedules) == scheduled
        for entry in one.schedules or []:
            assert isinstance(entry.schedule, CronSchedule)
            assert entry.schedule.timezone == "UTC"


def test_scoring_and_decisions_wait_for_no_training_and_writers_for_one_another(
    offered: dict[str, RunnerDeployment],
) -> None:
    found = [{one.name for one in row} for row in rows(list(offered.values()))]
    writers = {"cookbook", "retrain", "personalize", "label", "intents"}
    assert found == [writers, {"score"}, {"approve"}]


def test_forms_have_choices_and_bounds_and_carry_no_path(
    offered: dict[str, RunnerDeployment],
) -> None:
    assert "smoke" in properties(offered["cookbook"])["profile"]["enum"]
    assert properties(offered["approve"])["decision"]["enum"] == ["promote", "refuse"]
    assert properties(offered["approve"])["reason"]["minLength"] == 3
    assert properties(offered["approve"])["maximum_age_days"]["maximum"] == 14
    assert properties(offered["retrain"])["maximum_lateness_hours"]["maximum"] == 744
    for one in offered.values():
        assert not any(field.get("format") == "path" for field in properties(one).values())
        assert not {"root", "store"} & properties(one).keys()


def test_every_field_of_every_form_says_what_it_is_for(
    offered: dict[str, RunnerDeployment],
) -> None:
    said = {
        f"{name}.{field}": text.get("description", "")
        for name, one in offered.items()
        for field, text in properties(one).items()
    }
    assert len(said) > 15
    assert [field for field, text in said.items() if len(text) < 30] == []


def test_every_setting_of_a_form_says_what_it_is_for(
    offered: dict[str, RunnerDeployment],
) -> None:
    """A field that opens a branch may lack a text: the branch's own stands above its fields."""
    said = {
        f"{branch}.{field}": text.get("description", "")
        for one in offered.values()
        for branch, schema in one._parameter_openapi_schema.definitions.items()
        for field, text in schema.get("properties", {}).items()
        if "$ref" not in text
    }
    assert {"Settings.profile", "TrainingSettings.epochs", "PriceSettings.input_usd"} <= set(said)
    assert [field for field, text in said.items() if len(text) < 15] == []


def test_artifact_keys_are_what_prefect_allows() -> None:
    assert artifact_key("evaluated_policy_teacher") == "evaluated-policy-teacher"
    assert artifact_key("A  b_") == "a-b"


def test_serve_may_be_told_domain_profile_and_times() -> None:
    told = ServeOptions(
        domain="jobs2", profile="smoke", timezone="Europe/Berlin", retrain_cron="0 3 * * *",
        personalize_cron="none",
    )  # fmt: skip
    made = {str(one.name): one for one in deployments(told)}
    assert all(one.parameters["domain"] == "jobs2" for one in made.values())
    assert {name for name, one in made.items() if one.parameters.get("profile") == "smoke"} == {
        *("cookbook", "retrain", "personalize", "label")
    }
    (entry,) = made["retrain"].schedules or []
    assert isinstance(entry.schedule, CronSchedule)
    assert (entry.schedule.cron, entry.schedule.timezone) == ("0 3 * * *", "Europe/Berlin")
    assert not made["personalize"].schedules


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (ServeOptions(domain="absent"), "none named 'absent'"),
        (ServeOptions(profile="desktop"), "A profile is one of"),
        (ServeOptions(timezone="Mars/Olympus"), "A time zone has a name"),
        (ServeOptions(timezone="../etc/passwd"), "A time zone has a name"),
    ],
)
def test_an_option_that_names_nothing_is_refused_before_a_server_starts(
    option: ServeOptions, expected: str
) -> None:
    with pytest.raises(CookbookError, match=expected):
        option.check(Path(PROJECT))


def test_a_schedule_that_is_none_is_refused() -> None:
    with pytest.raises(CookbookError, match="A schedule is five fields"):
        deployments(ServeOptions(retrain_cron="mondays"))
