"""A judge below the floor labels nothing past the golden set, whoever starts the run.

Its key lies in a Prefect Secret block and goes to the endpoint alone.
"""

import csv
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core.policy import parse_policy
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint
from tests.flows.smoke import PROJECT, environment

pytestmark = pytest.mark.slow
CANARY = "sk-canary-51c0ffee"
PATHS = ("command line", "user interface", "schedule")

# Each path in a store of its own, so that none profits from another's refusal.
TRY_ALL_PATHS = """
import json, os, sys
from pathlib import Path

address, root, stores = sys.argv[1:]
from flows.profiles import PROFILES, changed, smoke
from tasks.judge_settings import JudgeSettings

judge = JudgeSettings(
    kind="endpoint", base_url=address, model="scripted-1", api_key_block="judge-key"
)
PROFILES["smoke"] = lambda: changed(smoke(), judge=judge)

from flows.cli import main
from flows.local_server import prefect_server
from tasks.core.errors import CookbookError

def try_flow(flow, name):
    os.environ["COOKBOOK_STORE"] = f"{stores}/{name}"
    try:
        flow(profile="smoke", domain="job_search")
    except CookbookError as error:
        return str(error)

with prefect_server():
    from prefect.blocks.system import Secret

    Secret(value=os.environ.pop("CANARY")).save("judge-key")
    try:
        main(["label", "--profile", "smoke", "--root", root, "--store", f"{stores}/command line"])
    except SystemExit as error:
        print(json.dumps(f"exit code {error.code}"))
    os.environ["COOKBOOK_ROOT"] = root
    from flows.label import label
    from flows.retrain import retrain
    print(json.dumps(try_flow(label, "user interface")))
    print(json.dumps(try_flow(retrain, "schedule")))
"""


def guesses(root: Path) -> Callable[[Call], Answer]:
    """A judge that grades by anything but the pair's sense; its answers are in good order."""
    policy = parse_policy(root / "policy" / "job_search" / "policy.md")

    def answer(call: Call) -> Answer:
        drawn = zlib.crc32(json.dumps(call.pair).encode())
        grades = {one.id: drawn % policy.grade_count for one in policy.dimensions}
        dimensions = [{"id": n, "evidence": "", "grade": g} for n, g in grades.items()]
        overall = policy.aggregate(grades)
        return Answer(
            json.dumps(
                {
                    "dimensions": dimensions,
                    "clauses": [policy.clauses[0].id],
                    "grade": overall,
                    "reason": "A feeling.",
                }
            )
        )

    return answer


def test_no_path_labels_with_a_judge_below_the_floor(root: Path, tmp_path: Path) -> None:
    with (root / "golden_data" / "job_search" / "golden.csv").open(encoding="utf-8") as lines:
        gate = sum(row["split"] == "gate" for row in csv.DictReader(lines))
    with ScriptedEndpoint(guesses(root)) as server:
        done = subprocess.run(
            [sys.executable, "-c", TRY_ALL_PATHS, server.base_url, str(root), str(tmp_path)],
            env=environment(tmp_path / "prefect", CANARY=CANARY, COOKBOOK_JUDGE_HOSTS="127.0.0.1"),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    said = [line for line in done.stdout.splitlines() if line.startswith('"')]
    assert json.loads(said[0]) == "exit code 2"
    assert "below the floor of 0.4" in done.stderr
    for refusal in said[1:]:
        assert "below the floor of 0.4" in json.loads(refusal)
        assert "Nothing was labeled" in json.loads(refusal)
    # What it may cost is said before it is asked.
    assert "An LLM grades: scripted-1" in done.stdout
    assert {call.headers["authorization"] for call in server.calls} == {f"Bearer {CANARY}"}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CANARY not in done.stdout + done.stderr
    assert CANARY.encode() not in written
    # The golden gate pairs once on each path, and not one pair beyond them.
    assert server.call_count == len(PATHS) * gate
    for name in PATHS:
        assert list((tmp_path / name).glob("artifacts/verdict/*/manifest.json"))
        assert not list((tmp_path / name).glob("artifacts/judgments/*"))
