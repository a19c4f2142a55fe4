"""`cookbook intents` from a file of labeled queries to a folder that classifies."""

import csv
import subprocess
from pathlib import Path

import pytest

from tests.flows.smoke import COOKBOOK, PROJECT, environment

pytestmark = pytest.mark.slow
JOBS, PLACES = ("nurse", "pilot", "baker", "clerk"), ("paris", "rome", "oslo", "lima")


def test_labeled_queries_become_a_classifier_with_its_figures(tmp_path: Path) -> None:
    folder = tmp_path / "golden_data" / "toy"
    folder.mkdir(parents=True)
    rows = [(f"{job} {number}", "title") for job in JOBS for number in range(5)]
    rows += [(f"work in {place} {number}", "place") for place in PLACES for number in range(5)]
    with (folder / "intents.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("query", "intent"), *rows])
    places = ["--domain", "toy", "--root", str(tmp_path), "--store", str(tmp_path / "runs")]
    done = subprocess.run(
        [*COOKBOOK, "intents", *places],
        env=environment(tmp_path / "prefect"),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Accuracy 1.000" in done.stdout
    assert "on 12 queries" in done.stdout
    (model,) = (tmp_path / "runs").rglob("config.json")
    assert '"place"' in model.read_text()
