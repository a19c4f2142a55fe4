"""Which fields of a document or a member a judge may read, and a list of what that was.

Groups are for fairness alone and are never read here. Contact data inside the texts is masked
when the prompt is made (masking.py).
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.labeling.masking import MASKED

# Attributes that say who somebody is, not what they can do. Withheld even if they are allowed.
PERSONAL = frozenset(
    {
        *("name", "first_name", "last_name", "full_name", "pronouns", "photo", "photo_url"),
        *("picture", "email", "e_mail", "phone", "telephone", "mobile", "address", "street"),
        *("url", "link", "website", "linkedin", "birthday", "birth_date", "date_of_birth"),
        *("age", "gender", "sex", "ethnicity", "race", "nationality", "religion"),
        *("disability", "marital_status"),
    }
)
_TEXTS = ("title", "text")


@dataclass(frozen=True)
class SentFields:
    """Names of the fields that a judge reads, and of those withheld from it."""

    sent: tuple[str, ...]
    withheld: tuple[str, ...]
    masked: tuple[str, ...] = tuple(dict.fromkeys(mask for _, mask in MASKED))


def render_outgoing(entity: Mapping[str, Any], *, allowed: Collection[str] | None = None) -> str:
    """Title, text and the allowed attributes of a document or member, as one text.

    ``allowed`` names attributes; None allows all but the personal ones. ``entity`` has text,
    perhaps title, and attributes (a dict or its JSON).
    """
    parts = [str(entity[name]) for name in _TEXTS if entity.get(name)]
    parts += [
        f"{name.replace('_', ' ')}: {_value(value)}"
        for name, value in _attributes(entity).items()
        if value not in (None, "", []) and _may_go(name, allowed)
    ]
    return "\n".join(parts)


def list_sent(
    entities: Iterable[Mapping[str, Any]], *, allowed: Collection[str] | None = None
) -> SentFields:
    """What ``render_outgoing`` sends of these entities, for the artifact that says so."""
    sent: set[str] = set()
    withheld: set[str] = set()
    for entity in entities:
        sent |= {name for name in _TEXTS if entity.get(name)}
        for name in _attributes(entity):
            (sent if _may_go(name, allowed) else withheld).add(name)
        if entity.get("groups") not in (None, "", "{}", {}):
            withheld.add("groups")
    return SentFields(tuple(sorted(sent)), tuple(sorted(withheld)))


def _may_go(name: str, allowed: Collection[str] | None) -> bool:
    plain = name.lower().replace("-", "_").replace(" ", "_")
    return plain not in PERSONAL and (allowed is None or name in allowed)


def _attributes(entity: Mapping[str, Any]) -> dict[str, Any]:
    attributes = entity.get("attributes") or {}
    parsed: dict[str, Any] = (
        json.loads(attributes) if isinstance(attributes, str) else dict(attributes)
    )
    return parsed


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
