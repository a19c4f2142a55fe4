"""Flow: the daily refresh of the random effects in service."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.alarms import tell_decision, told
from flows.cookbook import PROJECT, ProfileName
from flows.places import DomainName, ends_with_parent, served_root, served_store
from flows.profiles import profile as settings_of
from flows.ui_artifacts import LONGEST_REASON, UiProgress, if_the_server_answers
from flows.watched import Hours, Profile, too_late
from tasks.core.report.markdown import escape
from tasks.ingest import ingest
from tasks.refresh import refresh_effects
from tasks.run import listening, open_run
from tasks.settings import Settings


@flow(name="refresh", persist_result=False, validate_parameters=True)
def refresh(
    settings: Settings | None = None,
    profile: ProfileName = "laptop",
    domain: str = "job_search",
    root: Path = PROJECT,
    store: Path = Path("runs"),
) -> dict[str, Any]:
    """New impressions in; effects promoted, refused or left alone, and the reason, out."""
    s = settings or settings_of(profile)
    with open_run(store, domain):
        data = ingest(domain, root, s.golden)
        return refresh_effects(
            data,
            s.encoder,
            s.refresh,
            held_out_members=s.impressions.held_out_members,
            approval_required=s.promotion.approval == "required",
        )


@flow(name="personalize", persist_result=False)
def personalize(
    profile: Profile = "laptop",
    domain: DomainName = "job_search",
    maximum_lateness_hours: Hours = 12.0,
) -> State[None]:
    """Teach the effects in service what members clicked since; promote them if they do not lose.

    The student is not touched. With fewer new impressions than the settings ask for, nothing
    changes.
    """
    if late := too_late(maximum_lateness_hours):
        return late
    with told(domain):
        with ends_with_parent(), listening(UiProgress()):
            found = refresh.fn(None, profile, domain, served_root(), served_store())
        line = refresh_line(found)
        with if_the_server_answers():  # the decision holds, shown or not
            create_markdown_artifact(escape(line, longest=LONGEST_REASON), key="verdict")
        if found["decision"] != "skipped":
            tell_decision(found["decision"], domain, found["version"], line)
        return Completed(message=line)


def refresh_line(found: dict[str, Any]) -> str:
    """Decision, version and reasons in one line."""
    return f"{found['decision'].capitalize()}: {found['version']}. {' '.join(found['reasons'])}"
