"""Links to the reports behind a decision: the candidate's, and that of the model in service."""

import os

from prefect.artifacts import create_markdown_artifact

from flows.places import REPORTS_VARIABLE, served_store
from tasks.core.errors import CookbookError
from tasks.core.inspection import run_behind
from tasks.core.store.registry import Registry
from tasks.core.store.versions import Model


def show_choice(domain: str, version: str) -> None:
    """Where a candidate waits: what a person reads, and what they run."""
    registry = Registry(served_store() / domain / "registry")
    create_markdown_artifact(
        f"**{version} waits for a decision.** Run `approve` with this version, a decision and a "
        f"reason.\n\n{reports(domain, registry, version)}",
        key="approval",
    )


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
