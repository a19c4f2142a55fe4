"""What changed between two versions of a policy, by clause."""

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.core.policies.model import Policy


@dataclass(frozen=True)
class PolicyDiff:
    """Clause ids added, removed and changed; changes of front matter, precedents and facts.

    Each entry of `front_matter` reads `field: old -> new`, with `nothing` where one side lacks
    it; each of `precedents` and `facts` starts with `added`, `removed` or `changed`.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    front_matter: tuple[str, ...]
    precedents: tuple[str, ...]
    facts: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """True where nothing that the parser reads differs (prose between clauses may)."""
        return not any(vars(self).values())


def diff(old: Policy, new: Policy) -> PolicyDiff:
    """Compare clause digests and front-matter fields; a moved clause has not changed."""
    before = {clause.id: clause.digest for clause in old.clauses}
    after = {clause.id: clause.digest for clause in new.clauses}
    return PolicyDiff(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(n for n in after if n in before and after[n] != before[n]),
        front_matter=tuple(
            f"{field}: {came} -> {became}"
            for field, came, became in _differences(_front_matter(old), _front_matter(new))
        ),
        precedents=_named_changes(_precedents(old), _precedents(new)),
        facts=_named_changes(
            {fact.name: str(fact) for fact in old.facts},
            {fact.name: str(fact) for fact in new.facts},
        ),
    )


def _front_matter(policy: Policy) -> dict[str, str]:
    fields = {"policy": policy.name, "version": policy.version, "unit": policy.unit}
    for level in policy.grades:
        fields |= {
            f"grade {level.value} name": level.name,
            f"grade {level.value} meaning": level.meaning,
        }
    for dimension in policy.dimensions:
        fields |= {
            f"{dimension.id} title": dimension.title,
            f"{dimension.id} weight": f"{dimension.weight:g}",
            f"{dimension.id} question": dimension.question,
        }
    for cap in policy.caps:
        fields[f"cap on {cap.dimension} at most {cap.at_most}"] = str(cap.overall_at_most)
    return fields


def _precedents(policy: Policy) -> dict[str, str]:
    return {f"{p.query} / {p.pair}": str(p) for p in policy.precedents}


def _differences(old: dict[str, str], new: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for field in [*old, *(name for name in new if name not in old)]:
        came, became = old.get(field, "nothing"), new.get(field, "nothing")
        if came != became:
            yield field, came, became


def _named_changes(old: dict[str, str], new: dict[str, str]) -> tuple[str, ...]:
    verbs = {(True, False): "removed", (False, True): "added", (True, True): "changed"}
    return tuple(
        f"{verbs[name in old, name in new]} {name}" for name, _, _ in _differences(old, new)
    )
