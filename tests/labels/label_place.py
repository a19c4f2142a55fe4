"""A small simulated job_search domain, labeled by a judge that follows its policy."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.asking import PROMPT
from tasks.core.domain.catalog import Catalog
from tasks.core.domain.corpus import read_documents, read_members
from tasks.core.labeling.prompts import DEFAULT_PROMPT
from tasks.core.policy import parse_policy, parse_policy_text
from tasks.core.simulation.domain_files import write_domain
from tasks.core.simulation.world import World
from tasks.core.store.artifacts import Artifact, Counts, Workbench, materialize
from tasks.core.store.files import write_json
from tasks.core.tables import read_rows
from tasks.exchange import JUDGMENTS
from tasks.ingest import ingest
from tasks.label import label
from tasks.run import open_run
from tasks.settings import (
    BaseModelSettings,
    GoldenSettings,
    JudgeSettings,
    LabelSettings,
    MixSettings,
    SynthesisSettings,
)
from tasks.synthesize import synthesize
from tests.core.labeling.scripted_endpoint import ScriptedEndpoint
from tests.job_search_judge import POLICY, DecisionTableJudge, small_world

PAIRS = 400
TINY = BaseModelSettings(source="random_encoder", name="tiny")
SYNTHESIS = SynthesisSettings(generated_queries=0, max_pairs=PAIRS)
OLD_ROW = "| title.relation = adjacent | grade 2 |"
NEW_ROW = "| title.relation = adjacent | grade 1 |"


def plain(step: Any) -> Callable[..., Any]:
    """The function of a step, without Prefect around it."""
    function: Callable[..., Any] = step.fn
    return function


def _with_plain_prompt(bench: Workbench) -> Counts:
    write_json(bench.out / PROMPT, {"prompt": asdict(DEFAULT_PROMPT)})
    return {}


@dataclass
class Place:
    """A small simulated domain, a judge that follows its policy, and a store of one's own."""

    root: Path
    store: Path
    script: DecisionTableJudge

    @property
    def policy(self) -> Path:
        return self.root / "policy" / "job_search" / "policy.md"

    def edit(self, old: str, new: str) -> None:
        text = self.policy.read_text(encoding="utf-8")
        assert old in text
        self.policy.write_text(text.replace(old, new), encoding="utf-8")

    def label(self, server: ScriptedEndpoint, **settings: Any) -> Artifact:
        """Label as the flow does, with a judge that is taken to have passed."""
        judge_settings = JudgeSettings(
            kind="endpoint",
            model=server.model,
            base_url=server.base_url,
            prices={"input_usd": 1.0, "cached_input_usd": 1.0, "output_usd": 1.0},
            **settings.pop("judge", {}),
        )
        labels = LabelSettings(**settings)
        with open_run(self.store, "job_search"):
            data = plain(ingest)("job_search", self.root, GoldenSettings())
            pairs = plain(synthesize)(data, None, TINY, SYNTHESIS, MixSettings())
            made_from = [data.policy, data.golden, data.catalog]
            judge, verdict = (
                materialize(kind, _with_plain_prompt, settings={}, upstream=made_from)
                for kind in ("judge", "verdict")
            )
            made: Artifact = plain(label)(data, pairs, judge, verdict, TINY, judge_settings, labels)
            return made


def grades(labels: Artifact) -> dict[str, int]:
    return {row["pair_id"]: row["grade"] for row in read_rows(labels.file(JUDGMENTS))}


def paid_answers(store: Path) -> int:
    """Answers in the payment journal that cost something; a call that was repeated is one."""
    lines = (store / "job_search" / "labels" / "journal.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return sum(record["type"] == "result" and record["usd"] > 0 for record in records)


@pytest.fixture(scope="module")
def world() -> World:
    return small_world()


@pytest.fixture(scope="module")
def domain(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("domain")
    write_domain(world, root)
    return root


@pytest.fixture
def place(world: World, domain: Path, tmp_path: Path) -> Place:
    root = tmp_path / "root"
    (root / "policy" / "job_search").mkdir(parents=True)
    (root / "golden_data").symlink_to(domain / "golden_data")
    text = POLICY.read_text(encoding="utf-8")
    (root / "policy" / "job_search" / "policy.md").write_text(text, encoding="utf-8")
    folder = domain / "golden_data" / "job_search"
    catalog = Catalog(
        {row["doc_id"]: row for row in read_documents(folder / "documents.jsonl.gz")},
        {row["member_id"]: row for row in read_members(folder / "members.jsonl.gz")},
    )
    policies = [parse_policy(POLICY), parse_policy_text(text.replace(OLD_ROW, NEW_ROW), "new.md")]
    return Place(root, tmp_path / "runs", DecisionTableJudge(world, catalog, policies))


@pytest.fixture
def server(place: Place) -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint(place.script) as server:
        yield server
