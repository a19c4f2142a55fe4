"""One change of the settings makes anew what it decides, and no stage beside it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.smoke import PROJECT, environment

pytestmark = pytest.mark.slow

# The command of the smoke profile that the store's finished run had, with one branch changed.
DISTILL = """
import sys
from flows.cli import main
from flows.profiles import PROFILES, changed, smoke

change, root, store = sys.argv[1:]
s = smoke()


def warmer(role):
    teachers = [changed(one, temperature=2 * one.temperature) for one in role.teachers]
    return changed(role, teachers=tuple(teachers))


changes = {
    "alpha": {"student": changed(s.student, alpha=0.6)},
    "temperature": {"student": warmer(s.student)},
    "shape": {"pruned_student": changed(s.pruned_student, mlp_share=0.25)},
    "click teacher": {
        "click_teacher": changed(
            s.click_teacher, training=changed(s.click_teacher.training, learning_rate=5e-4)
        )
    },
}
PROFILES["smoke"] = lambda: changed(s, **changes[change])
main(["distill", "--profile", "smoke", "--root", root, "--store", store])
"""
# What begins as another mix's weights or is chosen among the mixes follows the student.
STUDENTS = {"student", "mix", "pruned student"}
OF_ONE_GOAL = {"policy only", "click only"}


def made_anew(change: str, root: Path, store: Path, folder: Path) -> list[str]:
    """The stages that a copy of the finished store had to make, in order."""
    shutil.copytree(store, folder / "runs", symlinks=True)
    done = subprocess.run(
        [sys.executable, "-c", DISTILL, change, str(root), str(folder / "runs")],
        env=environment(folder / "prefect"),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # A mark, the stage in 28 columns, and how long it took or that it was found.
    stages = [line for line in done.stdout.splitlines() if line.startswith(("+ ", "= "))]
    assert len(stages) > 15
    return [line[2:31].strip() for line in stages if line.startswith("+")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("alpha", STUDENTS),
        ("temperature", STUDENTS | OF_ONE_GOAL),
        ("shape", {"pruned student"}),
    ],
)
def test_another_student_runs_no_teacher(
    change: str, expected: set[str], root: Path, store: Path, tmp_path: Path
) -> None:
    made = made_anew(change, root, store, tmp_path)
    assert set(made) <= expected
    assert made


def test_another_click_teacher_costs_its_pass_and_the_students(
    root: Path, store: Path, tmp_path: Path
) -> None:
    """Neither a label nor the policy teacher, its soft labels or its own student."""
    made = made_anew("click teacher", root, store, tmp_path)
    assert made[0] == "click teacher"
    assert made.count("soft labels") == 1
    told = {"click teacher", "soft labels", "conflicts", "assistant", "click only"}
    assert set(made) <= told | STUDENTS
