"""Teachers from elsewhere, and what makes a teacher a new one."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flows import cookbook as flow
from flows.profiles import changed, smoke
from tasks import train_teachers
from tasks.core.errors import CookbookError
from tasks.core.store.artifacts import Artifact
from tasks.core.tables import columns_of, write_table
from tasks.core.training.scorer import Goal, Outputs
from tasks.exchange import JUDGMENTS, POLICY, SCORER, Domain
from tasks.run import open_run
from tasks.settings import (
    BaseModelSettings,
    FurtherTeacherSettings,
    TeacherSettings,
    TrainingSettings,
)
from tasks.train_teachers import (
    check_teaches,
    import_teacher,
    train_click_teacher,
    train_policy_teacher,
)
from tests.core.training.tiny import WORDS
from tests.test_distill import PAIRS, made, write_catalog

DOMAIN = Outputs(5, ("clicked", "applied"))
FURTHER = FurtherTeacherSettings(name="older", folder="models/older")


def card(grades: int, *actions: str, taught: tuple[Goal, ...] | None = None) -> dict[str, Any]:
    noted = {} if taught is None else {"taught": list(taught)}
    return {"grade_count": grades, "actions": list(actions)} | noted


@pytest.mark.parametrize(
    ("found", "kinds", "reason"),
    [
        # Its click logit would be read as the fifth grade.
        (card(4, "clicked"), {"listwise"}, "gives 4 grades and the actions clicked"),
        (card(6), {"grades"}, "gives 6 grades and the actions none"),
        (card(5, "clicked"), {"actions"}, "gives 5 grades and the actions clicked"),
        (card(5, "applied", "clicked"), {"actions"}, "applied, clicked"),
        (card(5, "clicked", "applied", taught=("actions",)), {"margin"}, "was taught actions"),
        (card(5, "clicked", "applied", taught=("grades",)), {"actions"}, "was taught grades"),
    ],
)
def test_a_teacher_whose_outputs_mean_something_else_is_refused(
    found: dict[str, Any], kinds: set[str], reason: str
) -> None:
    with pytest.raises(CookbookError, match=f"'older' must give 5 grades.*{reason}"):
        check_teaches(found, DOMAIN, frozenset(kinds), FURTHER)


@pytest.mark.parametrize(
    ("found", "kinds"),
    [
        (card(5, "clicked", "applied"), {"actions", "grades"}),
        (card(5), {"grades", "listwise"}),  # its actions are wanted by nobody
        (card(5, "bought", taught=("grades",)), {"margin"}),
        (card(5, "clicked", "applied", taught=("actions",)), {"actions"}),
    ],
)
def test_a_teacher_that_gives_what_is_wanted_of_it_may_teach(
    found: dict[str, Any], kinds: set[str]
) -> None:
    check_teaches(found, DOMAIN, frozenset(kinds), FURTHER)


def imported(store: Path, folder: Path, *kinds: str) -> tuple[Artifact | None, list[str]]:
    """A further teacher of a domain of five grades without a click log, and what was skipped."""
    step: Any = import_teacher

    def write(out: Path) -> None:
        shutil.copyfile(flow.PROJECT / "policy" / "job_search" / "policy.md", out / POLICY)

    with open_run(store, "toy") as run:
        one = made("policy", write)
        domain = Domain(one, one, one, None, None, None)
        settings = FurtherTeacherSettings(name="older", folder=str(folder))
        return step.fn(domain, None, frozenset(kinds), settings), [
            f"{told['step']}: {told['reason']}" for told in run.skipped
        ]


SKIPPED = "further_teacher: older teaches no actions: the domain has no impressions"


def test_without_a_click_log_a_further_teacher_teaches_no_actions(tmp_path: Path) -> None:
    """One of actions alone is left out, as the click teacher is; others teach the rest."""
    folder, store = tmp_path / "older", tmp_path / "store"
    folder.mkdir()
    (folder / "cookbook.json").write_text(json.dumps(card(5, "clicked")))
    assert imported(store, folder, "actions") == (None, [SKIPPED])
    both, told = imported(store, folder, "actions", "margin")
    assert both is not None
    assert (both.file(SCORER) / "cookbook.json").is_file()
    assert told == [SKIPPED]
    assert imported(store, folder, "margin")[1] == []
    with pytest.raises(CookbookError, match=r"has no cookbook\.json"):
        imported(store, tmp_path / "mistyped", "margin")


def test_a_mistyped_folder_is_told_before_any_teacher_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps before it are stood for; one that trains would fail on what they give."""
    before = (
        "announce ingest prepare_judge validate_judge watch_canaries write_llm_queries synthesize "
        "label label_again embed_graded gather_people_grades"
    )
    for name in before.split():
        monkeypatch.setattr(flow, name, lambda *_: None)
    monkeypatch.setattr(flow, "collect_impressions", lambda *_: "clicks")
    monkeypatch.setattr(flow, "settle_judge", lambda settings, _: (settings, None))
    asked: list[Any] = []

    def mistyped(_: Any, clicks: Any, kinds: Any, settings: FurtherTeacherSettings) -> None:
        asked.append((clicks, kinds, settings.name))
        raise CookbookError("mistyped")

    monkeypatch.setattr(flow, "import_teacher", mistyped)
    settings = changed(smoke(), further_teachers=(FURTHER,))
    with pytest.raises(CookbookError, match="mistyped"):
        flow.cookbook.fn(settings, store=tmp_path)
    assert asked == [("clicks", frozenset(), "older")]


class _FoundError(Exception):
    """The step would train: nothing in the store fits."""


def click_digest(folder: Path, start: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What decides over a click teacher beside its inputs, when its base is this folder."""
    keys: list[dict[str, Any]] = []

    def make(*_: Any, settings: dict[str, Any], **__: Any) -> Artifact:
        keys.append(settings)
        raise _FoundError

    monkeypatch.setattr(train_teachers, "make", make)
    settings = TeacherSettings(
        base=BaseModelSettings(source="hub", name=str(folder)),
        training=TrainingSettings(epochs=1, learning_rate=1e-3),
        start=start,
    )
    step: Any = train_click_teacher
    with open_run(folder / "store", "toy"):
        one = made("anything", lambda out: None)
        with pytest.raises(_FoundError):
            step.fn(Domain(one, one, one, None, None, None), one, one, settings)
    return keys[0]


def asked_to_learn(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    queries: Sequence[str] = (WORDS[0],) * 4,
    **further: Any,
) -> tuple[Any, ...]:
    """What the policy teacher's training is called with."""
    calls: list[tuple[Any, ...]] = []

    def look(*arguments: Any, **_: Any) -> None:
        calls.append(arguments)
        raise _FoundError

    monkeypatch.setattr(train_teachers, "learn_policy", look)
    judged = {"use": "train", "grade": 1, "probabilities": [0.2] * 5, "rationale": ""}
    asked = [
        {**PAIRS[0], "pair_id": f"p{n}", "member_id": "m0" if n % 2 else "", "query": query}
        for n, query in enumerate(queries)
    ]
    rows = [row | judged for row in asked]

    def write_policy(out: Path) -> None:
        shutil.copyfile(flow.PROJECT / "policy" / "job_search" / "policy.md", out / POLICY)

    settings = TeacherSettings(
        base=BaseModelSettings(source="random_encoder", name="tiny"),
        training=TrainingSettings(epochs=1, learning_rate=1e-3),
        **further,
    )
    step: Any = train_policy_teacher
    with open_run(folder, "toy"):
        policy, catalog = made("policy", write_policy), made("catalog", write_catalog)
        judgments = made("judgments", lambda out: write_rows(out / JUDGMENTS, rows))
        domain = Domain(policy, catalog, catalog, None, None, None)
        with pytest.raises(_FoundError):
            step.fn(domain, judgments, None, None, settings)
    return calls[0]


def test_the_policy_teacher_compares_what_one_member_was_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked_to_learn(tmp_path, monkeypatch)[3].tolist() == [0, 1, 0, 1]


def test_a_scorer_carries_what_words_tell_by_its_catalog_and_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [f"{WORDS[0]} {mark}" for mark in "abcd"]
    scorer = asked_to_learn(tmp_path / "told", monkeypatch, queries)[0]
    # Of the words that these ask for one title of four has one; all say the others.
    assert scorer.template.worths == {WORDS[0]: round(math.log(4), 3)}
    alone = asked_to_learn(tmp_path / "alone", monkeypatch)[0]
    assert alone.template.worths == {}, "one query is told from no worth"
    off = asked_to_learn(tmp_path / "as_written", monkeypatch, queries, telling_first=False)[0]
    assert off.template.worths == {}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    write_table(path, columns_of(rows))


@pytest.mark.parametrize(("start", "is_new"), [("base", True), ("policy_teacher", False)])
def test_new_weights_in_the_same_folder_make_a_new_click_teacher_of_that_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str, is_new: bool
) -> None:
    """A click teacher that starts from the policy teacher has these weights through it alone."""
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"old")
    before = click_digest(tmp_path, start, monkeypatch)
    weights.write_bytes(b"new")
    assert (click_digest(tmp_path, start, monkeypatch) != before) == is_new
