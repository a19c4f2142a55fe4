"""Teachers from elsewhere, and what makes a teacher a new one."""

from pathlib import Path
from typing import Any

import pytest

from tasks import train_teachers
from tasks.core.errors import CookbookError
from tasks.core.store.artifacts import Artifact
from tasks.core.training.scorer import Goal, Outputs
from tasks.exchange import Domain
from tasks.run import open_run
from tasks.settings import (
    BaseModelSettings,
    FurtherTeacherSettings,
    TeacherSettings,
    TrainingSettings,
)
from tasks.train_teachers import check_teaches, train_click_teacher
from tests.test_distill import made

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
