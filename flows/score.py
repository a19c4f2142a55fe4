"""Flow: the model in service scores a file of pairs from the domain's scoring folder."""

from typing import Annotated

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from flows.places import DomainName, served_root, served_store
from tasks.core.domain.paths import find_domain
from tasks.core.serving import Mix, domain_catalog, open_model, score_file
from tasks.core.store.registry import Registry

# A name, not a path: a form in a web page chooses no other files.
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\.jsonl$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


@flow(name="score", persist_result=False)
def score(
    input: FileName = "pairs.jsonl",
    output: FileName = "scores.jsonl",
    domain: DomainName = "job_search",
    relevance_weight: Share = 0.5,
    relevance_floor: Share = 0.25,
) -> int:
    """Score runs/DOMAIN/scoring/INPUT with the model in service; returns the number of pairs.

    One JSON object a line: query_id, query, doc_id (or title and text), optional member_id. The
    output holds the same lines with probabilities, and appears when it is whole.
    """
    folder = served_store() / domain / "scoring"
    folder.mkdir(parents=True, exist_ok=True)
    model = open_model(Registry(served_store() / domain / "registry"))
    catalog = domain_catalog(find_domain(domain, served_root()))
    mix = Mix(relevance_weight, relevance_floor)
    count = score_file(model, folder / input, folder / output, catalog, mix)
    create_markdown_artifact(f"{count:,} pairs scored by {model.version}.", key="scores")
    return count
