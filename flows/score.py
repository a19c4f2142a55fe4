"""Flow: the model in service scores a file of pairs from the domain's scoring folder."""

from pathlib import Path
from typing import Annotated

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from pydantic import Field

from flows.alarms import tell, told
from flows.forms import Help
from flows.places import DomainName, served_root, served_store
from flows.ui_artifacts import if_the_server_answers
from tasks.core.domain.paths import find_domain
from tasks.core.drift import drift_of_file
from tasks.core.errors import CookbookError
from tasks.core.report.markdown import escape
from tasks.core.serving import Mix, domain_catalog, open_model, score_file
from tasks.core.store.registry import Registry
from tasks.core.store.versions import Model

# A name, not a path: a form in a web page chooses no other files.
FileName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\.jsonl$"),
    Help("A file of JSON lines in runs/DOMAIN/scoring/; small letters, digits and .jsonl."),
]
Weight = Annotated[
    float,
    Field(ge=0.0, le=1.0),
    Help("0 to 1: the share of relevance in a pair's value; the rest is the chance of a click."),
]
Floor = Annotated[
    float,
    Field(ge=0.0, le=1.0),
    Help("0 to 1: below this relevance, clicks count nothing in a pair's value."),
]
Stability = Annotated[
    float,
    Field(gt=0.0, le=10.0),
    Help("Above 0, up to 10: the population stability index from which drift alarms."),
]


@flow(name="score", persist_result=False)
def score(
    input: FileName = "pairs.jsonl",
    output: FileName = "scores.jsonl",
    domain: DomainName = "job_search",
    relevance_weight: Weight = 0.5,
    relevance_floor: Floor = 0.25,
    maximum_psi: Stability = 0.2,
) -> int:
    """Score runs/DOMAIN/scoring/INPUT with the model in service; returns the number of pairs.

    One JSON object a line: query_id, query, doc_id (or title and text), optional member_id. The
    output holds the same lines with probabilities, and appears when it is whole. Traffic that no
    longer looks like what the model learned from is an event, `cookbook.drift`.
    """
    with told(domain):
        folder = served_store() / domain / "scoring"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # pairs and scores name members
        registry = Registry(served_store() / domain / "registry")
        model = open_model(registry)
        catalog = domain_catalog(find_domain(domain, served_root()))
        mix = Mix(relevance_weight, relevance_floor)
        count = score_file(model, folder / input, folder / output, catalog, mix)
        with if_the_server_answers():  # the file is whole, shown or not
            create_markdown_artifact(f"{count:,} pairs scored by {model.version}.", key="scores")
        _look_for_drift(registry.model(model.version), folder / output, domain, maximum_psi)
        return count


def _look_for_drift(model: Model, scores: Path, domain: str, maximum_psi: float) -> None:
    """A table of each figure's drift since training; an event where one alarms, or none is told."""
    try:
        found = drift_of_file(model, scores, maximum_psi)
    except CookbookError as error:
        with if_the_server_answers():
            create_markdown_artifact(f"Drift was not measured. {escape(str(error))}", key="drift")
        tell("drift-not-measured", domain, str(error))
        return
    with if_the_server_answers():
        create_table_artifact([one.to_json() for one in found], key="drift")
    alarming = [one.figure for one in found if one.drifted]
    if alarming:
        tell("drift", domain, f"{model.version}: {', '.join(alarming)} differ from training.")
