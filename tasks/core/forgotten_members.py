"""Who was forgotten in a domain, by marks that hold no id, so that no later model carries them."""

import json
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import CookbookError
from tasks.core.labeling.journal import member_mark
from tasks.core.store.files import digest_of, write_json

FILE = "forgotten.json"


@dataclass(frozen=True)
class ForgottenMembers:
    """Members who were forgotten; ``in`` tells of an id whether it is one of theirs."""

    marks: frozenset[str] = frozenset()

    @classmethod
    def load(cls, domain: Path) -> "ForgottenMembers":
        """Those of a domain's folder in the store.

        Raises:
            CookbookError: the file is damaged, so that nobody knows whom to leave out.
        """
        path = domain / FILE
        if not path.exists():
            return cls()
        try:
            marks = json.loads(path.read_text(encoding="utf-8"))["members"]
            if all(isinstance(mark, str) for mark in marks):
                return cls(frozenset(marks))
        except (OSError, ValueError, LookupError, TypeError):
            pass
        raise CookbookError(
            f"{path} must hold the marks of forgotten members, and is damaged. Restore it from a "
            "backup, or remove it and give `cookbook forget` again for each of them."
        )

    def __contains__(self, member_id: object) -> bool:
        return isinstance(member_id, str) and member_mark(member_id) in self.marks

    def __bool__(self) -> bool:
        return bool(self.marks)

    @property
    def digest(self) -> str:
        return digest_of(sorted(self.marks))


def note_forgotten(domain: Path, member_id: str) -> None:
    """Add a member to those forgotten, durably; the store must be held."""
    known, mark = ForgottenMembers.load(domain), member_mark(member_id)
    if mark not in known.marks:
        domain.mkdir(parents=True, exist_ok=True)
        write_json(domain / FILE, {"members": sorted({*known.marks, mark})}, mode=0o600)
