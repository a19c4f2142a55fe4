"""One-clause edits of the job_search policy: what they relabel, what they miss, what it equals.

    python -m benchmarks.policy_edit --pairs 2000 --edits 12

The judge executes the policy's decision tables behind an OpenAI-compatible server on loopback, so
the right label under either policy is known. Each edit moves one row's grade of a clause drawn by
chance by one. The labels after carrying over and asking again are held against a full relabeling.
"""

import argparse
import json
import os
import platform
import re
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.decision_tables import decide
from tasks.core.labeling.carry_over import PolicyEdit, carry_over
from tasks.core.labeling.drain import drain
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.labeling.stored import stored_label
from tasks.core.policy import Policy, parse_policy, parse_policy_text
from tests.core.labeling.conftest import make_endpoint
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint
from tests.core.labeling.test_carry_over import true_facts
from tests.job_search_judge import POLICY, answer_of

SAMPLED = 50
_GRADE = re.compile(r"\| grade (\d) \|")


def edits(policy: Policy, count: int, seed: int) -> Iterator[tuple[str, Policy]]:
    """(clause id, edited policy): one table row's grade moved by one, up from 0 and else down."""
    clauses = [c for c in policy.clauses if _GRADE.search(c.text)]
    generator = np.random.default_rng(seed)
    for place in generator.permutation(len(clauses))[:count]:
        clause = clauses[int(place)]
        rows = [line for line in clause.text.splitlines() if _GRADE.search(line)]
        row = rows[int(generator.integers(len(rows)))]
        moved = _GRADE.sub(lambda found: f"| grade {_moved(int(found[1]))} |", row)
        text = policy.text.replace(
            clause.text.split("\n\n", 1)[1], _edited(clause.text, row, moved)
        )
        yield clause.id, parse_policy_text(text, f"{clause.id} edited")


def _moved(grade: int) -> int:
    return grade - 1 if grade else 1


def _edited(text: str, row: str, moved: str) -> str:
    return text.split("\n\n", 1)[1].replace(row, moved)


@contextmanager
def labeled(policies: dict[str, Policy], facts: dict[str, Any], folder: Path) -> Iterator[Judge]:
    """The judge by decision tables, with every pair labeled under the first policy."""

    def by_tables(call: Call) -> Answer:
        system = call.messages[0]["content"]
        policy = next(one for one in policies.values() if system.startswith(one.text.strip()))
        return Answer(answer_of(decide(policy, facts[call.pair["document"]])))

    with (
        ScriptedEndpoint(by_tables, keep_calls=False) as server,
        Journal(folder / "journal.jsonl") as journal,
    ):
        judge = Judge(policies["before"], make_endpoint(server, timeout_s=300.0), journal)
        drain(judge, requests_of(facts))
        yield judge


def requests_of(facts: dict[str, Any]) -> list[LabelRequest]:
    return [LabelRequest(name, "q", "", name) for name in facts]


def measure(judge: Judge, changed: Policy, facts: dict[str, Any]) -> dict[str, float]:
    """What one edit takes, and how its labels compare with a full relabeling."""
    requests = requests_of(facts)
    edit = PolicyEdit.between(judge, changed)
    done = carry_over(edit, requests, sampled=SAMPLED)
    calls = drain(edit.new, requests).progress.calls
    after = [stored_label(edit.new, request) for request in requests]
    full = [decide(changed, facts[request.pair_id]).grade for request in requests]
    same = [
        label is not None and label.grade == grade for label, grade in zip(after, full, strict=True)
    ]
    return {
        "stale_share": done.stale_share,
        "billed_share": (calls + done.missed.calls) / len(requests),
        "missed_in_sample": done.missed.changed / done.missed.sampled,
        "equal_share": sum(same) / len(same),
    }


def main() -> None:
    """Print the table, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--edits", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    policy = parse_policy(POLICY)
    facts = true_facts(policy, chosen.pairs)
    changed = dict(edits(policy, chosen.edits, chosen.seed))
    results = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        labeled({"before": policy} | changed, facts, Path(folder)) as judge,
    ):
        for name, one in changed.items():
            results[name] = measure(judge, one, facts)
    names = list(next(iter(results.values())))
    print(f"{'clause':10}" + "".join(f"{name:>18}" for name in names))
    for clause, row in results.items():
        print(f"{clause:10}" + "".join(f"{row[name]:18.4f}" for name in names))
    figures = {
        f"{name}_{how}": function(row[name] for row in results.values())
        for name in names
        for how, function in (("median", statistics.median), ("max", max), ("min", min))
    }
    result = {
        "name": "policy_edit",
        "equal": figures["equal_share_min"] >= 0.99,
        "ratios": {},
        "figures": figures | {"pairs": len(facts), "edits": len(results)},
        "environment": {"python": platform.python_version(), "cores": os.cpu_count()},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
