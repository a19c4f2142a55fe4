"""Options that many commands share, and where things lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

PROJECT = Path(__file__).resolve().parents[2]

Domain = Annotated[str, Parameter(help="The domain: a folder below policy/ and golden_data/.")]
Profile = Annotated[str, Parameter(help="Run profile: smoke, laptop, single_gpu ...")]
Root = Annotated[
    Path,
    Parameter(
        help="Folder that holds policy/ and golden_data/; this project by default.",
        show_default=False,
    ),
]
Store = Annotated[Path, Parameter(help="Folder of artifacts, models and reports.")]

DOMAIN = "job_search"
PROFILE = "laptop"
STORE = Path("runs")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run works on; each field is an option of the command."""

    profile: Profile = PROFILE
    domain: Domain = DOMAIN
    root: Root = PROJECT
    store: Store = STORE


# Commands take it as their default: it is frozen, so that one may serve them all.
USUAL = RunOptions()


def registry_folder(store: Path, domain: str) -> Path:
    """Where a domain's models lie.

    Raises:
        CookbookError: the domain's name cannot be a folder's.
    """
    from tasks.core.domain.paths import valid_name

    return store / valid_name(domain, "domain") / "registry"
