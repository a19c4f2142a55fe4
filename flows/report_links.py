"""Links for whoever decides: the form, the candidate's report, that of the model in service."""

import json
import os
from typing import Any
from urllib.parse import quote

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

from flows.places import REPORTS_VARIABLE, served_store
from flows.ui_artifacts import LONGEST_REASON, if_the_server_answers
from tasks.core.errors import CookbookError
from tasks.core.inspection import run_behind
from tasks.core.report.markdown import escape
from tasks.core.store.registry import Registry
from tasks.core.store.versions import Model


def show_choice(domain: str, version: str) -> None:
    """Where a candidate waits: what a person reads, and what they run."""
    registry = Registry(served_store() / domain / "registry")
    found = reports(domain, registry, version, registry.served_version())
    with if_the_server_answers():  # the candidate waits, shown or not
        create_markdown_artifact(
            f"**{version} waits for a decision.** Read the reports, then {_form(domain, version)} "
            f"with a decision and a reason.\n\n{found}",
            key="approval",
            description="What a person decides about, and where",
        )


def _form(domain: str, version: str) -> str:
    """Markdown link to the form of `approve` with the version filled in, if it is served here."""
    try:
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name("approve/approve")
    except ObjectNotFound:
        return f"run `approve` for {version}"
    page = url_for("deployment", deployment.id)
    filled_in = quote(json.dumps({"version": version, "domain": domain}))
    return f"[fill in the form of approve]({page}/run?parameters={filled_in})"


def reports(domain: str, registry: Registry, candidate: str, served: str | None) -> str:
    """Markdown list of what there is to read of a candidate and of the model beside it.

    A version that is damaged or gone is a sentence there: nobody is kept from deciding by it.
    """
    versions = [candidate, *([served] if served not in (None, candidate) else [])]
    return "\n".join(f"- {_about(domain, registry, str(version))}" for version in versions)


def _about(domain: str, registry: Registry, version: str) -> str:
    try:
        model = registry.model(version)
    except CookbookError as error:
        return f"{version} cannot be read: {escape(str(error), longest=LONGEST_REASON)}"
    refreshed = model.card.get("refresh")
    if refreshed is None:
        return _link(domain, model)
    # Its card names the run of the scorer, whose report tells of the effects before.
    return (
        f"{version} has effects that were refreshed from newer clicks. "
        f"On clicks after those, AUC {_figure(refreshed['auc_refreshed'])}; before the refresh "
        f"{_figure(refreshed['auc_in_service'])}; gain {_figure(refreshed['gain'])}."
    )


def _figure(one: dict[str, Any]) -> str:
    return f"{one['value']:.4f} ({one['low']:.4f} to {one['high']:.4f})"


def _link(domain: str, model: Model) -> str:
    address = os.environ.get(REPORTS_VARIABLE)
    try:
        run_key = run_behind(served_store(), domain, model).report["run_key"]
    except CookbookError:
        return f"{model.version}: the run that made it has not finished, or its report is gone"
    if address is None:
        return f"{model.version}: {domain}/finished/{run_key}/report.html"
    return f"[report of {model.version}]({address}/{domain}/{run_key}/report.html)"
