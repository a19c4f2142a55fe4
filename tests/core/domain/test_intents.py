"""intents.csv: what it may hold, and one sentence for what it may not."""

from pathlib import Path

import pytest

from tasks.core.domain.intents import read_intents
from tasks.core.errors import CookbookError


def written(folder: Path, *lines: str) -> Path:
    path = folder / "intents.csv"
    path.write_text("\n".join(["query,intent,split", *lines]) + "\n", encoding="utf-8")
    return path


def test_each_query_comes_once_with_its_intent_and_split(tmp_path: Path) -> None:
    path = written(
        tmp_path, "night nurse,title,", "jobs in Lyon,place,sealed", "Nurse night,title,"
    )
    assert read_intents(path) == [
        {"query": "night nurse", "intent": "title", "split": ""},
        {"query": "jobs in Lyon", "intent": "place", "split": "sealed"},
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["nurse,title,", "Nurse,place,"], "one intent"),
        (["nurse,title,", "pilot,title,"], "two intents or more"),
        (["nurse,,", "pilot,title,"], "line 2: intent must not be empty"),
        (["nurse,title,test", "pilot,place,"], "came 'test'"),
    ],
)
def test_what_cannot_be_learned_is_named(tmp_path: Path, lines: list[str], expected: str) -> None:
    with pytest.raises(CookbookError, match=expected):
        read_intents(written(tmp_path, *lines))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CookbookError, match="there is none"):
        read_intents(tmp_path / "intents.csv")
