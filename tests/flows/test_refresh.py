"""The daily refresh, through the flow, on a store that a smoke run left behind."""

import csv
import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.core.forgotten_members import note_forgotten
from tasks.core.personalization.effects import Effects
from tasks.core.personalization.forgotten_effects import has_effect
from tasks.core.personalization.game_model import GameModel, RandomEffect
from tasks.core.store.files import file_sha256
from tasks.core.store.registry import Registry
from tests.flows.smoke import PROJECT, environment, report_of, smoke_run

pytestmark = pytest.mark.slow

REFRESH = """
import json, sys
from pathlib import Path
from flows.local_server import hide_run_logs, prefect_server
from flows.profiles import changed, smoke

root, store, changes = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
settings = smoke()
settings = changed(settings, refresh=changed(settings.refresh, **changes))
with prefect_server():
    from flows.personalize import refresh

    hide_run_logs()
    print(json.dumps(refresh(settings, "smoke", "job_search", root, store)))
"""


@pytest.fixture(scope="module")
def own_store(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished store, to be changed by this module alone."""
    copy = tmp_path_factory.mktemp("refreshed") / "runs"
    shutil.copytree(store, copy, symlinks=True)
    return copy


def refresh(root: Path, store: Path, **changes: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", REFRESH, str(root), str(store), json.dumps(changes)],
        env=environment(root.parent / "prefect"),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def turned(root: Path, copy: Path) -> Path:
    """A copy of the domain whose clicks are turned around from 80% to 96% of the log's time."""
    shutil.copytree(root, copy)
    path = copy / "golden_data" / "job_search" / "impressions.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    times = sorted(row["timestamp"] for row in rows)
    first, last = times[int(0.8 * len(times))], times[int(0.96 * len(times))]
    for row in rows:
        if first < row["timestamp"] <= last:
            row |= {"clicked": str(1 - int(row["clicked"])), "saved": "0", "applied": "0"}
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return copy


def registry_of(store: Path) -> Registry:
    return Registry(store / "job_search" / "registry")


def a_member(game: GameModel) -> str:
    """One with an effect of their own."""
    model = next(
        game.models[one.name]
        for one in game.coordinates
        if isinstance(one, RandomEffect) and one.entity == "member"
    )
    return str(model.entity_ids[0].as_py())


def test_too_few_new_impressions_change_nothing(root: Path, own_store: Path) -> None:
    found = refresh(root, own_store, minimum_rows=1_000_000)
    assert found["decision"] == "skipped"
    assert "a refresh needs 1,000,000" in found["reasons"][0]
    assert registry_of(own_store).versions() == ["v0001"]


def test_effects_that_may_lose_are_refused_with_the_figures(
    root: Path, own_store: Path, tmp_path: Path
) -> None:
    """Members click the opposite for a while, then as before: what was learned meanwhile harms."""
    found = refresh(turned(root, tmp_path / "turned"), own_store, margin_auc=0.0)
    assert found["gain"]["low"] < 0
    assert (found["decision"], found["version"]) == ("refused", "v0002")
    assert "may lose" in found["reasons"][0]
    served = registry_of(own_store).current()
    assert served is not None
    assert served.version == "v0001"
    assert registry_of(own_store).log()[-1]["event"] == "refused"


def test_new_effects_serve_with_the_same_scorer_and_the_run_does_not_undo_them(
    root: Path, own_store: Path
) -> None:
    before = registry_of(own_store).current()
    assert before is not None
    member = a_member(Effects.load(before.file("effects")).game)
    note_forgotten(own_store / "job_search", member)
    found = refresh(root, own_store, margin_auc=1.0)
    served = registry_of(own_store).current()
    assert served is not None
    assert (found["decision"], found["version"], served.version) == ("promoted", "v0003", "v0003")
    scorer = {p.name: file_sha256(p) for p in served.file("scorer").iterdir()}
    assert scorer == {p.name: file_sha256(p) for p in before.file("scorer").iterdir()}
    old, new = (Effects.load(model.file("effects")) for model in (before, served))
    assert new.learned_until > old.learned_until
    assert has_effect(old.game, member) and not has_effect(new.game, member)
    assert served.card["scorer_of"] == "v0001"
    assert served.card["refresh"]["gain"] == found["gain"]
    made_of = served.card["refreshed_by"]
    log = root / "golden_data" / "job_search" / "impressions.csv.gz"
    assert file_sha256(log) in made_of["data_sha256"].values()
    assert made_of["settings"]["margin_auc"] == 1.0
    again = smoke_run(root, own_store)
    assert again.returncode == 0, again.stderr[-3000:]
    promotion = report_of(own_store)["promotion"]
    assert promotion["version"] == "v0003"
    said, came = promotion["reasons"]
    assert said == "This model is in service already, as v0003 with other effects: nothing changed."
    assert came.startswith("It came into service on ")
    assert f", by personalize: {found['reasons'][0]}" in came
    now = registry_of(own_store).current()
    assert now is not None
    assert now.version == "v0003"
