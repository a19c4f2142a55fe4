"""A judge for simulated job_search pairs that follows the policy: it executes decision tables.

It stands behind an OpenAI-compatible server on loopback, reads the policy out of the request's
first message, finds the pair by its texts, and answers as a perfect LLM would.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tasks.core.decision_tables import Decision, decide
from tasks.core.domain.catalog import Catalog
from tasks.core.labeling.outgoing import outgoing_document, outgoing_member
from tasks.core.labeling.prompts import judge_messages
from tasks.core.policy import Policy, parse_policy
from tasks.core.simulation.simulate import simulate
from tasks.core.simulation.world import World
from tests.core.labeling.scripted_endpoint import Answer, Call

PROJECT = Path(__file__).resolve().parents[1]
POLICY = PROJECT / "policy" / "job_search" / "policy.md"


def small_world(scale: float = 0.2, seed: int = 0) -> World:
    """The world that `cookbook simulate` writes with the same scale and seed."""
    return simulate(parse_policy(POLICY), seed=seed, scale=scale)


class DecisionTableJudge:
    """A script for ScriptedEndpoint; knows every pair of a world by what requests show of it."""

    def __init__(self, world: World, catalog: Catalog, policies: Iterable[Policy]) -> None:
        self.world, self.policies = world, list(policies)
        shown = {doc_id: number for number, doc_id in enumerate(world.shown_jobs.ids)}
        self._jobs = {
            self._as_sent(outgoing_document(row), "document"): shown[doc_id]
            for doc_id, row in catalog.documents.items()
        }
        profiles = [
            self._as_sent(outgoing_member(catalog.members[name]), "member")
            for name in world.shown_members.ids
        ]
        self._queries = {
            (self._as_sent(text, "query"), profiles[member]): number
            for number, (text, member) in enumerate(
                zip(world.queries.text, world.queries.member, strict=True)
            )
        }

    def __call__(self, call: Call) -> Answer:
        """The right answer to a request, under the policy that it quotes."""
        system = call.messages[0]["content"]
        policy = next(one for one in self.policies if system.startswith(one.text.strip()))
        return Answer(answer_of(self.decide(policy, call.pair)))

    def decide(self, policy: Policy, pair: dict[str, str]) -> Decision:
        """What the policy's tables say of a pair as a request shows it."""
        query = self._queries[pair["query"], pair.get("member", "")]
        job = self._jobs[pair["document"]]
        columns = self.world.facts.columns(np.array([query]), np.array([job]))
        return decide(policy, {name: values[0].item() for name, values in columns.items()})

    @property
    def postings(self) -> list[str]:
        """Every document as requests show it."""
        return list(self._jobs)

    def any_decision(self) -> Decision:
        """What the first policy says of the first pair, for a judge that need not be right."""
        columns = self.world.facts.columns(np.array([0]), np.array([0]))
        facts = {name: values[0].item() for name, values in columns.items()}
        return decide(self.policies[0], facts)

    def _as_sent(self, text: str, field: str) -> str:
        texts = {"query": "q", "member": "m", "document": "d"} | {field: text}
        block = judge_messages(
            self.policies[0], texts["query"], texts["member"], texts["document"], boundary="x"
        )[1]["content"]
        sent: str = json.loads(block.splitlines()[2])[field]
        return sent


def answer_of(decision: Decision) -> str:
    """A decision as the judge's JSON."""
    dimensions = [
        {"id": name, "evidence": "as the tables say", "grade": grade}
        for name, grade in decision.dimension_grades.items()
    ]
    return json.dumps(
        {
            "dimensions": dimensions,
            "clauses": list(decision.clauses),
            "grade": decision.grade,
            "reason": "The decision tables say so.",
        }
    )
