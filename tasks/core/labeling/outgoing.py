"""Which fields of a document or a member a judge may read, and a list of what that was.

A document goes out as its title, text and attributes, a member as the text alone; ids and groups
never do. Attributes that identify a person are withheld whatever is allowed, and what they hold
is taken out of the texts beside them too. Contact data inside texts is masked once more when the
prompt is made (masking.py).
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.domain.catalog import FIELD_MARK
from tasks.core.inputs import render_attributes
from tasks.core.labeling.masking import MASKED
from tasks.core.text import sanitize

# Attributes that hold a name, or lead to the person: taken out of the texts as well.
IDENTIFYING = frozenset(
    {
        *("name", "first_name", "last_name", "full_name", "contact", "recruiter", "photo"),
        *("photo_url", "picture", "email", "e_mail", "phone", "telephone", "mobile", "address"),
        *("street", "url", "link", "website", "linkedin", "birthday", "birth_date"),
        "date_of_birth",
    }
)
# Attributes that say who somebody is, not what they can do. Withheld even if they are allowed.
PERSONAL = IDENTIFYING | {
    *("pronouns", "age", "gender", "sex", "ethnicity", "race", "nationality", "religion"),
    *("disability", "marital_status"),
}
_SHORTEST_MASKED = 3


@dataclass(frozen=True)
class SentFields:
    """Names of the fields that a judge reads, and of those withheld from it."""

    sent: tuple[str, ...]
    withheld: tuple[str, ...]


def outgoing_document(
    document: Mapping[str, Any], *, allowed: Collection[str] | None = None
) -> str:
    """Title, text and the allowed attributes, as one text.

    ``allowed`` names attributes; None allows all but the personal ones. Attributes may be a
    mapping or its JSON.
    """
    attributes = _attributes(document)
    may_go = {name: value for name, value in attributes.items() if _may_go(name, allowed)}
    parts = (
        *(_without_identity(document[name], attributes) for name in ("title", "text")),
        render_attributes(may_go),
    )
    return FIELD_MARK.join(sanitize(part) for part in parts if part)


def outgoing_member(member: Mapping[str, Any]) -> str:
    """The member's text without the name and contacts that stand in the attributes."""
    return _without_identity(str(member["text"]), _attributes(member))


def list_sent(
    documents: Iterable[Mapping[str, Any]],
    members: Iterable[Mapping[str, Any]],
    *,
    allowed: Collection[str] | None = None,
) -> dict[str, SentFields]:
    """What is sent of these documents and members, for the artifact that says so."""
    texts = {"document": ("title", "text"), "member": ("text",)}
    attributes: dict[str, Collection[str] | None] = {"document": allowed, "member": ()}
    found = {}
    for kind, entities in (("document", documents), ("member", members)):
        sent: set[str] = set()
        withheld: set[str] = set()
        for entity in entities:
            sent |= {name for name in texts[kind] if entity.get(name)}
            for name in _attributes(entity):
                (sent if _may_go(name, attributes[kind]) else withheld).add(name)
            if entity.get("groups") not in (None, "", "{}", {}):
                withheld.add("groups")
        found[kind] = SentFields(tuple(sorted(sent)), tuple(sorted(withheld)))
    return found


def masks() -> list[str]:
    """What stands in the place of what is masked in a text."""
    return sorted({mask for _, mask in MASKED} | {"[name]"})


def _may_go(name: str, allowed: Collection[str] | None) -> bool:
    return _plain(name) not in PERSONAL and (allowed is None or name in allowed)


def _without_identity(text: str, attributes: Mapping[str, Any]) -> str:
    """The text without the values of identifying attributes, whole or a capitalized word of one."""
    for name, value in attributes.items():
        if _plain(name) in IDENTIFYING and isinstance(value, str):
            words = [word for word in value.split() if word[:1].isupper()]
            for part in (value, *words):
                if len(part) >= _SHORTEST_MASKED:
                    text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "[name]", text)
    return text


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")


def _attributes(entity: Mapping[str, Any]) -> dict[str, Any]:
    attributes = entity.get("attributes") or {}
    parsed: dict[str, Any] = (
        json.loads(attributes) if isinstance(attributes, str) else dict(attributes)
    )
    return parsed
