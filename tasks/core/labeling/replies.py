"""From a judge's raw reply to a judgment, or to the reason why it is none.

A reply becomes a label only if it is complete, strict JSON, on the scale. Nothing is guessed,
closed or stripped: a cut-off answer that happens to parse is still cut off.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tasks.core.labeling.grade_tokens import grade_distribution
from tasks.core.policy import Policy

_MAX_CHARACTERS = 200_000


class Status(StrEnum):
    """What became of a pair."""

    LABELED = "labeled"
    REPAIRED = "repaired"  # labeled at the second attempt
    MALFORMED = "malformed"
    OFF_SCHEMA = "off_schema"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    FILTERED = "filtered"
    UNANSWERED = "unanswered"  # every attempt failed on the way


class ReplyError(ValueError):
    """A reply that is no label; ``status`` says of which kind, the message says why."""

    def __init__(self, status: Status, problem: str) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as it came: what the journal keeps, and all that a judgment is made from.

    ``grade_logprobs`` are log-probabilities by token at the place of the overall grade.
    """

    text: str
    model: str
    finish_reason: str | None
    refusal: str | None = None
    grade_logprobs: Mapping[str, float] | None = None
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Judgment:
    """A pair's label and where it came from.

    ``grade`` is the policy's own aggregation of the dimension grades where those are given;
    ``stated_grade`` is what the judge said, and the two may differ. Probabilities are over
    the grades from 0 upward; they are left out where judge and aggregation disagree, because
    they speak of the judge's grade.
    """

    pair_id: str
    grade: int
    stated_grade: int
    grade_probabilities: tuple[float, ...] | None
    dimension_grades: Mapping[str, int | None] | None
    evidence: Mapping[str, str] | None
    clauses: tuple[str, ...] | None
    rationale: str | None
    judge: str
    prompt_hash: str
    policy_hash: str
    status: Status = Status.LABELED


@dataclass(frozen=True, slots=True)
class Answer:
    """The content of a valid answer, before it is tied to a pair."""

    grade: int
    stated_grade: int
    dimension_grades: dict[str, int | None] | None
    evidence: dict[str, str] | None
    clauses: tuple[str, ...] | None
    rationale: str | None


def parse_reply(
    reply: Reply,
    policy: Policy,
    *,
    pair_id: str,
    prompt_hash: str,
    needs_dimensions: bool,
    status: Status = Status.LABELED,
) -> Judgment:
    """The judgment that a reply holds.

    ``needs_dimensions`` is False for the embedded judge alone, which has none to give.

    Raises:
        ReplyError: the reply was refused, filtered, cut off, not strict JSON, or off the schema.
    """
    _check_complete(reply)
    answer = _parse_answer(_strict_json(reply.text), policy)
    if needs_dimensions and answer.dimension_grades is None:
        raise ReplyError(Status.OFF_SCHEMA, "dimensions must be graded, not null")
    agrees = answer.grade == answer.stated_grade
    probabilities = grade_distribution(reply.grade_logprobs, len(policy.grades)) if agrees else None
    return Judgment(
        pair_id=pair_id,
        grade=answer.grade,
        stated_grade=answer.stated_grade,
        grade_probabilities=probabilities,
        dimension_grades=answer.dimension_grades,
        evidence=answer.evidence,
        clauses=answer.clauses,
        rationale=answer.rationale,
        judge=reply.model,
        prompt_hash=prompt_hash,
        policy_hash=policy.digest,
        status=status,
    )


def _check_complete(reply: Reply) -> None:
    if reply.refusal:
        raise ReplyError(Status.REFUSED, "the model refused to answer")
    if reply.finish_reason == "content_filter":
        raise ReplyError(Status.FILTERED, "the provider's content filter stopped the answer")
    if reply.finish_reason == "length":
        raise ReplyError(Status.TRUNCATED, "the answer was cut off at the token limit")
    if reply.finish_reason not in ("stop", None):
        raise ReplyError(
            Status.OFF_SCHEMA, f"the answer ended by {reply.finish_reason[:40]!r}, not by stop"
        )


def _strict_json(text: str) -> object:
    if len(text) > _MAX_CHARACTERS:
        raise ReplyError(Status.MALFORMED, f"the answer has {len(text)} characters")
    try:
        parsed: object = json.loads(
            text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
    except ReplyError:
        raise
    except (ValueError, RecursionError) as error:
        raise ReplyError(Status.MALFORMED, f"the answer is not JSON ({error})") from None
    return parsed


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ReplyError(Status.MALFORMED, "the answer names one key twice")
    return found


def _no_constant(name: str) -> float:
    raise ReplyError(Status.MALFORMED, f"the answer holds {name}, which is no JSON")


def _parse_answer(found: object, policy: Policy) -> Answer:
    fields = _fields(found, ("dimensions", "clauses", "grade", "reason"), "the answer")
    grades, evidence = _parse_dimensions(fields["dimensions"], policy)
    stated = _grade(fields["grade"], policy, "grade")
    return Answer(
        grade=policy.aggregate(grades) if grades else stated,
        stated_grade=stated,
        dimension_grades=grades,
        evidence=evidence,
        clauses=_parse_clauses(fields["clauses"], policy),
        rationale=_text(fields["reason"], "reason") or None,
    )


def _parse_dimensions(
    found: object, policy: Policy
) -> tuple[dict[str, int | None] | None, dict[str, str] | None]:
    if found is None:
        return None, None
    rows = [_fields(row, ("id", "evidence", "grade"), "a dimension") for row in _list(found)]
    wanted = [dimension.id for dimension in policy.dimensions]
    named = [_text(row["id"], "id") for row in rows]
    if sorted(named) != sorted(wanted):
        raise ReplyError(
            Status.OFF_SCHEMA, f"dimensions must name each of {', '.join(wanted)} exactly once"
        )
    grades = {
        str(row["id"]): None if row["grade"] is None else _grade(row["grade"], policy, "grade")
        for row in rows
    }
    if all(grade is None for grade in grades.values()):
        raise ReplyError(Status.OFF_SCHEMA, "no dimension has a grade")
    return grades, {str(row["id"]): _text(row["evidence"], "evidence") for row in rows}


def _parse_clauses(found: object, policy: Policy) -> tuple[str, ...] | None:
    if found is None:
        return None
    cited = tuple(dict.fromkeys(_text(clause, "a clause id") for clause in _list(found)))
    unknown = set(cited) - {clause.id for clause in policy.clauses}
    if unknown:
        raise ReplyError(Status.OFF_SCHEMA, f"the policy has no clause {sorted(unknown)[0][:40]!r}")
    return cited


def _grade(found: object, policy: Policy, name: str) -> int:
    # bool is an int to Python; true is no grade.
    if type(found) is not int or found not in range(len(policy.grades)):
        raise ReplyError(
            Status.OFF_SCHEMA,
            f"{name} must be an integer from 0 to {len(policy.grades) - 1}, not {found!r:.40}",
        )
    return found


def _fields(found: object, names: tuple[str, ...], where: str) -> dict[str, object]:
    if not isinstance(found, dict) or set(found) != set(names):
        raise ReplyError(
            Status.OFF_SCHEMA, f"{where} must have exactly the keys {', '.join(names)}"
        )
    return found


def _list(found: object) -> list[object]:
    if not isinstance(found, list):
        raise ReplyError(Status.OFF_SCHEMA, "dimensions and clauses must be lists or null")
    return found


def _text(found: object, name: str) -> str:
    if not isinstance(found, str):
        raise ReplyError(Status.OFF_SCHEMA, f"{name} must be a string")
    return found
