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
    existing_file,
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

    mix = Mix(relevance_weight, relevance_floor)
    served = open_model(Registry(registry_folder(store, domain)), model)
    catalog = domain_catalog(find_domain(domain, root))
    count = score_file(served, input, output, catalog, mix)
    print(f"{count:,} pairs scored by {served.version} into {output}.")


def drift(
    scores: Path,
    /,
    *,
    maximum_psi: Annotated[float, Parameter(help="Index above which a figure alarms.")] = 0.2,
    model: Annotated[
        str | None, Parameter(help="A version; by default the one in service.")
    ] = None,
    domain: Domain = DOMAIN,
    store: Store = STORE,
) -> None:
    """Compare scored traffic with what the model learned from; exits with 2 where it drifted.

    Args:
        scores: a file that `cookbook score` wrote.
    """
    from tasks.core.drift import drift_of_file
    from tasks.core.errors import CookbookError
    from tasks.core.serving import find_model
    from tasks.core.store.registry import Registry

    existing_file(scores, "scores")
    registered = find_model(Registry(registry_folder(store, domain)), model)
    found = drift_of_file(registered, scores, maximum_psi)
    for one in found:
        state = "DRIFT" if one.drifted else "steady"
        print(f"{state:<7}{one.figure:<24} stability index {one.psi:.3f}  p {one.p_value:.3f}")
    drifted = [one.figure for one in found if one.drifted]
    if drifted:
        raise CookbookError(
            f"Traffic should look like what {registered.version} learned from, and differs in "
            f"{', '.join(drifted)}. Look at it, then run `cookbook run` on a newer log."
        )
