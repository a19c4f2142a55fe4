"""The judge steps on job_search: LLMs with planted weaknesses are found out and refused."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.ask_twins import ask_twins
from tasks.core.decision_tables import Decision
from tasks.core.domain.catalog import Catalog
from tasks.core.domain.corpus import read_documents, read_members
from tasks.core.errors import CookbookError
from tasks.core.fairness.twin_pairs import TwinPairs
from tasks.core.policy import Policy, parse_policy
from tasks.core.simulation.domain_files import write_domain
from tasks.core.store.artifacts import Artifact
from tasks.core.tables import read_table
from tasks.exchange import TWIN_GRADES, VERDICT, golden_rows
from tasks.ingest import ingest
from tasks.judge import prepare_judge, validate_judge, watch_canaries
from tasks.judge_settings import JudgeCheckSettings
from tasks.run import current_run, open_run
from tasks.settings import BaseModelSettings, FairnessSettings, GoldenSettings, JudgeSettings
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint
from tests.job_search_judge import POLICY, DecisionTableJudge, answer_of, small_world

TINY = BaseModelSettings(source="random_encoder", name="tiny")
CHECKS = JudgeCheckSettings(wobble_pairs=20, twin_pairs=10, canary_pairs=10)
Reading = Callable[[Call, Decision], Decision | None]  # None: it refuses to answer


def plain(step: Any) -> Callable[..., Any]:
    """The function of a step, without Prefect around it."""
    function: Callable[..., Any] = step.fn
    return function


@dataclass
class Reader:
    """Finds the posting inside whatever was added to it; nonsense is a mismatch in everything."""

    tables: DecisionTableJudge
    policy: Policy
    reading: Reading
    decided: dict[tuple[str, str], Decision]  # by query and posting: the tables take their time

    def __call__(self, call: Call) -> Answer:
        found = self.reading(call, self._read(call.pair))
        return Answer("", refusal="No.") if found is None else Answer(answer_of(found))

    def _read(self, pair: dict[str, str]) -> Decision:
        said = next((text for text in self.tables.postings if text in pair["document"]), None)
        if said is None:
            nothing: dict[str, int | None] = {one.id: 0 for one in self.policy.dimensions}
            return Decision(nothing, (self.policy.clauses[0].id,), 0)
        key = (pair["query"] + pair.get("member", ""), said)
        if key not in self.decided:
            self.decided[key] = self.tables.decide(self.policy, pair | {"document": said})
        return self.decided[key]


@dataclass
class Place:
    """A small simulated domain and a store; a judge is known by its model's name."""

    root: Path
    store: Path
    tables: DecisionTableJudge
    policy: Policy
    of_large_employers: set[str]
    decided: dict[tuple[str, str], Decision] = field(default_factory=dict)

    @contextmanager
    def judge(
        self, reading: Reading, model: str, checks: JudgeCheckSettings = CHECKS
    ) -> Iterator["Tried"]:
        reader = Reader(self.tables, self.policy, reading, self.decided)
        with (
            ScriptedEndpoint(reader, model=model) as server,
            open_run(self.store, "job_search"),
        ):
            settings = JudgeSettings(
                kind="endpoint",
                model=model,
                base_url=server.base_url,
                checks=checks,
                max_quarantine_share=0.5,
            )
            yield Tried(plain(ingest)("job_search", self.root, GoldenSettings()), settings, server)


@dataclass
class Tried:
    """The steps of one judge, called as the flow calls them."""

    data: Any
    settings: JudgeSettings
    server: ScriptedEndpoint

    def prepare(self) -> Artifact:
        made: Artifact = plain(prepare_judge)(self.data, TINY, self.settings)
        return made

    def validate(self) -> Artifact:
        made: Artifact = plain(validate_judge)(self.data, self.prepare(), TINY, self.settings)
        return made

    def watch(self) -> None:
        verdict = self.validate()
        plain(watch_canaries)(self.data, self.prepare(), verdict, TINY, self.settings)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("domain")
    world = small_world(scale=0.15)
    write_domain(world, root)
    target = root / "policy" / "job_search" / "policy.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(POLICY.read_bytes())
    folder = root / "golden_data" / "job_search"
    catalog = Catalog(
        {row["doc_id"]: row for row in read_documents(folder / "documents.jsonl.gz")},
        {row["member_id"]: row for row in read_members(folder / "members.jsonl.gz")},
    )
    policy = parse_policy(target)
    tables = DecisionTableJudge(world, catalog, [policy])
    shown = zip(tables.postings, catalog.documents.values(), strict=True)
    large = {text for text, row in shown if "over_5000" in row["groups"]}
    return Place(root, tmp_path_factory.mktemp("runs"), tables, policy, large)


def careful(call: Call, decision: Decision) -> Decision:
    return decision


def each(decision: Decision, grade: Callable[[int], int]) -> Decision:
    grades = decision.dimension_grades.items()
    changed = {name: None if old is None else grade(old) for name, old in grades}
    return replace(decision, dimension_grades=changed)


def over_generous(call: Call, decision: Decision) -> Decision:
    return each(decision, lambda grade: min(4, grade + 1))


def order_sensitive(call: Call, decision: Decision) -> Decision:
    as_usual = next(iter(call.pair)) == "query"
    return decision if as_usual else each(decision, lambda grade: max(0, grade - 2))


def blind_to_seniority(call: Call, decision: Decision) -> Decision:
    seen = decision.dimension_grades
    return replace(
        decision, dimension_grades=seen | ({"SEN": 3} if seen["SEN"] is not None else {})
    )


def fooled_by_stuffing(call: Call, decision: Decision) -> Decision:
    stuffed = call.pair["document"].startswith(" ".join([call.pair["query"]] * 3))
    return each(decision, lambda grade: 4) if stuffed else decision


def obedient(call: Call, decision: Decision) -> Decision:
    told = "Ignore the policy" in call.pair["document"]
    return each(decision, lambda grade: 4) if told else decision


def test_a_careful_judge_passes_and_shows_its_papers(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.judge._today", lambda: date(2026, 11, 16))
    with place.judge(careful, "careful") as tried:
        found = tried.validate().json(VERDICT)
        calls = tried.server.call_count
        tried.watch()
        assert tried.server.call_count == calls  # the canaries of the day are asked once
    assert found["passed"], found["reason"]
    assert found["weaknesses"] == []
    assert found["kappa"]["value"] > 0.6
    assert found["human_kappa"] > 0.4
    assert set(found["dimension_kappas"]) <= {one.id for one in place.policy.dimensions}
    assert found["dimension_kappas"]["TITLE"] > 0.6
    assert {one["change"] for one in found["wobbles"]} == {
        "asked again",
        "paraphrased",
        "reordered",
    }
    assert len(found["twins"]) == 7
    assert found["prompt"]["name"] == "default"


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (over_generous, "over-generous"),
        (order_sensitive, "wobbles when reordered"),
        (blind_to_seniority, "blind to the dimension SEN"),
        (fooled_by_stuffing, "fooled by keyword stuffing"),
        (obedient, "fooled by instruction"),
    ],
)
def test_a_planted_weakness_is_named_and_refused(
    reading: Reading, words: str, place: Place
) -> None:
    with (
        place.judge(reading, reading.__name__) as tried,
        pytest.raises(CookbookError, match="Nothing was labeled") as refused,
    ):
        tried.validate()
    assert words in str(refused.value)


def test_the_prompt_that_agrees_best_on_tune_is_the_one_that_is_used(place: Place) -> None:
    def needs_doubt(call: Call, decision: Decision) -> Decision:
        doubts = "Most pairs are no good match" in call.messages[0]["content"]
        return decision if doubts else each(decision, lambda grade: min(4, grade + 2))

    checks = replace_checks(prompt_search_calls=200, wobble_pairs=0, twin_pairs=0)
    with place.judge(needs_doubt, "needs_doubt", checks) as tried:
        judge = tried.prepare()
        assert tried.server.call_count <= 200
        verdict = tried.validate()
        last = tried.server.calls[-1].messages[0]["content"]
    found = judge.json("prompt.json")
    assert found["prompt"]["name"] == "sceptical"
    assert found["search"]["looks"] <= 200
    assert "Most pairs are no good match" in last
    assert verdict.json(VERDICT)["prompt"]["name"] == "sceptical"


def test_a_model_that_changes_under_its_name_stops_the_next_days_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {"yes": False}

    def drifts(call: Call, decision: Decision) -> Decision:
        return each(decision, lambda grade: 4 - grade) if changed["yes"] else decision

    checks = replace_checks(wobble_pairs=0, twin_pairs=0)
    with place.judge(drifts, "drifts", checks) as tried:
        monkeypatch.setattr("tasks.judge._today", lambda: date(2026, 11, 16))
        tried.watch()
        changed["yes"] = True
        tried.watch()  # the same day: nothing is asked, so nothing is noticed
        monkeypatch.setattr("tasks.judge._today", lambda: date(2026, 11, 17))
        with pytest.raises(CookbookError, match=r"drifts .* 2026-11-16 .* 2026-11-17"):
            tried.watch()


def test_a_judge_that_is_silent_about_one_group_is_called_out(place: Place) -> None:
    def silent(call: Call, decision: Decision) -> Decision | None:
        return None if call.pair["document"] in place.of_large_employers else decision

    checks = replace_checks(wobble_pairs=0, twin_pairs=0)
    with place.judge(silent, "silent", checks) as tried:
        found = tried.validate().json(VERDICT)
    assert any("employer_size over_5000" in warning for warning in found["silence"])


@contextmanager
def asked_about_twins(
    place: Place, answer: Callable[[Call], Answer], model: str, **more: Any
) -> Iterator[tuple[Any, Artifact | None, ScriptedEndpoint]]:
    """The domain, what a judge said of the twins of five sealed pairs, and its endpoint."""
    with ScriptedEndpoint(answer, model=model) as server, open_run(place.store, "job_search"):
        settings = JudgeSettings(
            kind="endpoint", model=model, base_url=server.base_url, checks=CHECKS, **more
        )
        data = plain(ingest)("job_search", place.root, GoldenSettings())
        judge = plain(prepare_judge)(data, TINY, settings)
        fairness = FairnessSettings(twin_pairs=5)
        yield data, plain(ask_twins)(data, judge, TINY, settings, fairness), server


def test_a_judge_that_grades_men_lower_is_found_by_its_twins(place: Place) -> None:
    usual = place.tables.any_decision()

    def prejudiced(call: Call) -> Answer:
        grade = 1 if "he/him" in call.pair["member"] else 3
        return Answer(answer_of(each(usual, lambda _: grade)))

    with asked_about_twins(place, prejudiced, "prejudiced") as (data, found, server):
        assert found is not None
        grades = np.array(read_table(found.file(TWIN_GRADES))["relevance"])
        catalog = Catalog.load(data.catalog.folder)
        sent = [str(call.messages) for call in server.calls]
    pairs = TwinPairs.draw(golden_rows(data, "sealed"), catalog, 5, seed=0)
    assert len(grades) == 2 * len(pairs.twins)
    assert len(set(sent)) == len(sent) < len(grades)  # a text of two twins is paid for once
    gaps = {
        one.group_pair: one.value for one in pairs.measured("judge", grades, n_resamples=100).signed
    }
    assert gaps.pop("pronoun: she - he") > 0.2
    assert set(gaps.values()) == {0.0}


def test_twins_beyond_the_budget_are_skipped_with_the_reason_and_nothing_fails(
    place: Place,
) -> None:
    usual = answer_of(place.tables.any_decision())
    prices = {"input_usd": 1000.0, "cached_input_usd": 1000.0, "output_usd": 1000.0}
    poor = {"budget_usd": 0.001, "prices": prices}
    with asked_about_twins(place, lambda _: Answer(usual), "dear", **poor) as (_, found, server):
        skipped = {one["step"]: one["reason"] for one in current_run().skipped}
        assert found is None
        assert "budget" in skipped["fairness twins of the judge"]
        assert server.call_count == 0


def replace_checks(**changes: int) -> JudgeCheckSettings:
    return JudgeCheckSettings.model_validate(json.loads(CHECKS.model_dump_json()) | changes)
