"""`cookbook intents` from a file of labeled queries to a folder that classifies."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.smoke import COOKBOOK, PROJECT, environment

pytestmark = pytest.mark.slow
JOBS, PLACES = ("nurse", "pilot", "baker", "clerk"), ("paris", "rome", "oslo", "lima")


# As a deployment's run does it: folders from the environment, figures to Prefect's pages.
IN_UI = """
import json

from prefect.client.orchestration import get_client

from flows.intents import intents_in_ui
from flows.local_server import prefect_server

with prefect_server():
    state = intents_in_ui("toy", return_state=True)
    with get_client(sync_client=True) as client:
        shown = {one.key: one.data for one in client.read_artifacts()}
print(json.dumps({"message": state.message, **shown}))
"""


def run_in(root: Path, command: list[str]) -> str:
    """What the command printed; served folders are those of ``root``."""
    served = {"COOKBOOK_ROOT": str(root), "COOKBOOK_STORE": str(root / "runs")}
    done = subprocess.run(
        command,
        env=environment(root / "prefect", **served),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_labeled_queries_become_a_classifier_with_its_figures(tmp_path: Path) -> None:
    folder = tmp_path / "golden_data" / "toy"
    folder.mkdir(parents=True)
    rows = [(f"{job} {number}", "title") for job in JOBS for number in range(5)]
    rows += [(f"work in {place} {number}", "place") for place in PLACES for number in range(5)]
    with (folder / "intents.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("query", "intent"), *rows])
    places = ["--domain", "toy", "--root", str(tmp_path), "--store", str(tmp_path / "runs")]
    printed = run_in(tmp_path, [*COOKBOOK, "intents", *places])
    # Wilson's interval of 12 right of 12: 1 / (1 + 1.96**2 / 12) to 1.
    assert "Accuracy 1.000 (0.758 to 1.000) on 12 queries" in printed
    (model,) = (tmp_path / "runs").rglob("config.json")
    assert '"place"' in model.read_text()

    in_ui = json.loads(run_in(tmp_path, [sys.executable, "-c", IN_UI]).splitlines()[-1])
    assert in_ui["message"] in printed
    assert str(model.parent) in in_ui["verdict"].replace("\\", "")
    table = {row.pop("actual"): row for row in json.loads(in_ui["confusion"])}
    assert table == {"place": {"place": "8", "title": "0"}, "title": {"place": "0", "title": "4"}}
