"""A small policy, and pairs whose text says which grade a good judge gives them."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.policy import Policy, parse_policy_text
from tests.core.labeling.batch_provider import BatchProvider
from tests.core.labeling.scripted_endpoint import (
    Answer,
    Call,
    ScriptedEndpoint,
    grade_answer,
)

POLICY_TEXT = """\
---
policy: tiny
version: "1.0"
unit: one query and one job
grades:
  - {value: 0, name: Useless, meaning: Of no use.}
  - {value: 1, name: Little, meaning: Of little use.}
  - {value: 2, name: Some, meaning: Of some use.}
  - {value: 3, name: Full, meaning: What was asked for.}
dimensions:
  - {id: NEED, title: Need, weight: 0.75, question: Does it serve the need?}
  - {id: PLACE, title: Place, weight: 0.25, question: Is it in reach?}
aggregation:
  overall: weighted_mean
  caps:
    - {dimension: NEED, at_most: 0, overall_at_most: 0}
---

# A tiny policy

### NEED-1 The need counts
Grade what the job is.

### NEED-2 Words are not needs
A job that repeats the query's words without being one gets 0.

### PLACE-1 In reach
Grade the way to work.

## Precedents

| query | pair | dim_NEED | dim_PLACE | grade | clauses |
| --- | --- | --- | --- | --- | --- |
| nurse | a ward nurse in town | 3 | 3 | 3 | NEED-1, PLACE-1 |
"""


def make_requests(count: int) -> list[LabelRequest]:
    """Pairs numbered from 0; the right grade of pair i is i mod 4."""
    return [
        LabelRequest(f"pair-{number}", "nurse", "", f"job {number} worth {number % 4}")
        for number in range(count)
    ]


def right_grade(call: Call) -> Answer:
    """The script of a judge that is always right and always quick."""
    return Answer(grade_answer(int(call.pair["document"].split()[-1])))


def make_endpoint(server: ScriptedEndpoint, **changes: object) -> Endpoint:
    """An endpoint at the scripted server: no waiting to speak of, few attempts.

    Its patience is for a machine that is busy with other work: no test waits it out.
    """
    settings: dict[str, object] = {
        "base_url": server.base_url,
        "model": server.model,
        "api_key_env": "",
        "requests_per_minute": 1_000_000.0,
        "tokens_per_minute": 1e10,
        "concurrency": 8,
        "timeout_s": 60.0,
        "max_attempts": 3,
        "backoff_s": 0.01,
        "longest_pause_s": 300.0,
    }
    return Endpoint(**(settings | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def policy() -> Policy:
    return parse_policy_text(POLICY_TEXT, "policy.md")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.jsonl") as opened:
        yield opened


@pytest.fixture
def provider() -> Iterator[BatchProvider]:
    with BatchProvider() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
