"""Where a domain's files lie, and which of them a user brought."""

import re
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import CookbookError

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
# What a store has beside its domains: one of these names would be removed with what it is.
_OF_THE_STORE = ("artifacts", "scratch", "run.lock", "report_server.json")
_DOCUMENTS = ("documents.jsonl.gz", "documents.jsonl", "documents.parquet")
_MEMBERS = ("members.jsonl.gz", "members.jsonl", "members.parquet")
MAX_PROVENANCE_CHARACTERS = 1000
_IMPRESSIONS = ("impressions.csv.gz", "impressions.csv", "impressions.parquet")


@dataclass(frozen=True)
class DomainPaths:
    """The files of one domain; None where the user brought no such file."""

    name: str
    policy: Path
    golden: Path
    documents: Path
    queries: Path | None
    members: Path | None
    impressions: Path | None
    data_card: Path | None


def valid_name(name: str, what: str) -> str:
    """The name itself, if it can be a folder's name and nothing else.

    Raises:
        CookbookError: it holds a path, or characters that a file system or a page may misread; or
            it is a domain's, and something else in a store is called so.
    """
    if not _NAME.fullmatch(name):
        raise CookbookError(
            f"A {what} is named by 1 to 64 small letters, digits, dots, dashes and underscores; "
            f"came {name!r}. Choose such a name."
        )
    if what == "domain" and name in _OF_THE_STORE:
        raise CookbookError(
            f"A domain has a folder of its name in the store, where {', '.join(_OF_THE_STORE)} "
            f"are taken; came {name!r}. Choose another name."
        )
    return name


def find_domain(name: str, root: Path, *, graded: bool = True) -> DomainPaths:
    """Find a domain's files under a root folder; without ``graded``, golden.csv may be missing.

    Raises:
        CookbookError: there is no such domain, or a required file is missing.
    """
    valid_name(name, "domain")
    golden = root / "golden_data" / name
    grades = golden / "golden.csv"
    policy = root / "policy" / name / "policy.md"
    if not policy.is_file() and not golden.is_dir():
        known = sorted(path.parent.name for path in root.glob("policy/*/policy.md"))
        raise CookbookError(
            f"A domain is a folder below policy/ and golden_data/ of {root}; there is none named "
            f"{name!r}. It has: {', '.join(known) or 'none'}. Name one of them, or give its --root."
        )
    return DomainPaths(
        name=name,
        policy=_required(policy, policy.parent, (policy.name,)),
        golden=_required(grades, golden, ("golden.csv",)) if graded else grades,
        documents=_required(_first(golden, _DOCUMENTS), golden, _DOCUMENTS),
        queries=_first(golden, ("queries.csv",)),
        members=_first(golden, _MEMBERS),
        impressions=_first(golden, _IMPRESSIONS),
        data_card=_first(golden, ("DATA_CARD.md",)),
    )


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _required(path: Path | None, folder: Path, names: tuple[str, ...]) -> Path:
    if path is None or not path.is_file():
        raise CookbookError(
            f"A domain needs {' or '.join(names)} in {folder}, and there is none. "
            "Write it as docs/your_own_domain.md shows."
        )
    return path


def provenance(data_card: Path) -> str:
    """The data card's first paragraph, on one line: where the data comes from."""
    lines = data_card.read_text(encoding="utf-8", errors="replace").splitlines()
    paragraphs = "\n".join(line for line in lines if not line.startswith("#")).strip()
    first = paragraphs.partition("\n\n")[0][:MAX_PROVENANCE_CHARACTERS]
    return " ".join(first.replace("*", "").split())
