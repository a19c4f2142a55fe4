"""`cookbook score`: a registered model over a file of pairs; no Prefect, so it starts fast."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.commands.options import (
    DOMAIN,
    PROJECT,
    STORE,
    Domain,
    Root,
    Store,
    registry_folder,
)


def score(
    *,
    input: Annotated[Path, Parameter(help="JSON lines: query_id, query, doc_id or title + text.")],
    output: Annotated[Path, Parameter(help="File to write: the same lines with probabilities.")],
    model: Annotated[
        str | None, Parameter(help="A version; by default the one in service.")
    ] = None,
    relevance_weight: Annotated[float, Parameter(help="Share of relevance in the value.")] = 0.5,
    relevance_floor: Annotated[float, Parameter(help="Below it, clicks count nothing.")] = 0.25,
    domain: Domain = DOMAIN,
    root: Root = PROJECT,
    store: Store = STORE,
) -> None:
    """Score pairs with the model in service (or another version)."""
    from tasks.core.domain.paths import find_domain
    from tasks.core.serving import Mix, domain_catalog, open_model, score_file
    from tasks.core.store.registry import Registry

    served = open_model(Registry(registry_folder(store, domain)), model)
    catalog = domain_catalog(find_domain(domain, root))
    mix = Mix(relevance_weight, relevance_floor)
    count = score_file(served, input, output, catalog, mix)
    print(f"{count:,} pairs scored by {served.version} into {output}.")
