"""Options that many commands share, and where things lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from tasks.settings import Settings

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

Judge = Annotated[
    Literal["auto", "embedded", "endpoint"] | None,
    Parameter(
        help="Who grades: embedded costs nothing and is no LLM; endpoint is an LLM; auto is an LLM "
        "if its key is set and the run stays within the budget. By default the profile's choice."
    ),
]
Budget = Annotated[
    float | None,
    Parameter(help="Most dollars that the judge may cost; by default the profile's budget."),
]

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
    judge: Judge = None
    budget_usd: Budget = None

    def settings(self) -> "Settings":
        """The profile's settings, with the judge and the budget of the command line.

        Raises:
            CookbookError: there is no such profile, or the budget is negative.
        """
        from flows.profiles import changed, profile
        from tasks.core.errors import CookbookError

        given: dict[str, Any] = {"kind": self.judge, "budget_usd": self.budget_usd}
        given = {name: value for name, value in given.items() if value is not None}
        settings = profile(self.profile)
        if not given.get("budget_usd", 0) >= 0:  # nor what is no number
            raise CookbookError("A budget is 0 dollars or more. Give --budget-usd another amount.")
        return changed(settings, judge=changed(settings.judge, **given))


# Commands take it as their default: it is frozen, so that one may serve them all.
USUAL = RunOptions()


def registry_folder(store: Path, domain: str) -> Path:
    """Where a domain's models lie.

    Raises:
        CookbookError: the domain's name cannot be a folder's.
    """
    from tasks.core.domain.paths import valid_name

    return store / valid_name(domain, "domain") / "registry"


def existing_store(store: Path, domain: str = "") -> None:
    """Check that a store is there, for commands that must not find a mistyped one empty.

    Raises:
        CookbookError: nothing was ever run in it, or not with this domain.
    """
    from tasks.core.errors import CookbookError

    if not (store / "artifacts").is_dir() or not (store / domain).is_dir():
        raise CookbookError(
            f"A store is a folder that a run wrote to; {store / domain} is none. Name the right "
            "--store and --domain."
        )


def existing_file(path: Path | None, what: str) -> None:
    """Check that a file that was named is there.

    Raises:
        CookbookError: it is not.
    """
    from tasks.core.errors import CookbookError

    if path is not None and not path.is_file():
        raise CookbookError(f"A file of {what} is needed; there is no {path}. Name another one.")
