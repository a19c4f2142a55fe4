"""Links for whoever decides: the form, the candidate's report, that of the model in service."""

import json
import os
from urllib.parse import quote

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

from flows.places import REPORTS_VARIABLE, served_store
from flows.ui_artifacts import if_the_server_answers
from tasks.core.errors import CookbookError
from tasks.core.inspection import run_behind
from tasks.core.store.registry import Registry
from tasks.core.store.versions import Model


def show_choice(domain: str, version: str) -> None:
    """Where a candidate waits: what a person reads, and what they run."""
    registry = Registry(served_store() / domain / "registry")
    with if_the_server_answers():  # the candidate waits, shown or not
        create_markdown_artifact(
            f"**{version} waits for a decision.** Read the reports, then {_form(domain, version)} "
            f"with a decision and a reason.\n\n{reports(domain, registry, version)}",
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


def reports(domain: str, registry: Registry, version: str) -> str:
    """Markdown list of links to the candidate's report and to that of the model in service."""
    served = registry.current()
    models = [registry.model(version), *([served] if served and served.version != version else [])]
    return "\n".join(f"- {_link(domain, model)}" for model in models)


def _link(domain: str, model: Model) -> str:
    address = os.environ.get(REPORTS_VARIABLE)
    try:
        run_key = run_behind(served_store(), domain, model).report["run_key"]
    except CookbookError:
        return f"{model.version}: the run that made it has not finished, or its report is gone"
    if address is None:
        return f"{model.version}: {domain}/finished/{run_key}/report.html"
    return f"[report of {model.version}]({address}/{domain}/{run_key}/report.html)"
