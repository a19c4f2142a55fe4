"""kill -9 of a command at whatever it does to the disk, once and twice: given again, it ends well.

Real processes on a small store that what makes real stores made. They are killed just before each
access that may change it (tests/faults/warm.py), in turn until the command gets through. What
refresh and run train and pay for is killed in test_kills.py.
"""

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.faults.small_store import DOMAIN, scorer, small_store, state
from tests.faults.warm import Warm

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


@dataclass(frozen=True)
class Command:
    """Words of a command ({case}: its folder), accesses it makes at least, and, where it cannot
    be given twice, what the second time says of why."""

    words: str
    least: int
    told: str = ""


REGISTRY = f"{{case}}/runs/{DOMAIN}/registry"
COMMANDS = {
    "promote": Command("models promote v0002 --reason better", 4),
    "rollback": Command("models rollback --reason complaints", 4),
    "export": Command("models export v0002 {case}/out", 8, "makes a new folder; {case}/out exists"),
    "clean": Command("clean --days 30 --journal-days 30", 20),
    "forget": Command("forget m1 --root {case}/root", 20),
    "restore": Command(f"restore {REGISTRY} {{case}}/scorer one", 10),
}
DECISIONS = {
    "promote": Command(f"approve {{case}}/runs {DOMAIN} v0004 promote", 4, "candidate that waits"),
    "refuse": Command(f"approve {{case}}/runs {DOMAIN} v0004 refuse", 2, "candidate that waits"),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each case begins with: one damaged file of a version, and its files as they were."""
    folder = tmp_path_factory.mktemp("kept") / "case"
    store = small_store(folder / "runs")
    scorer(folder / "scorer", "one")
    (store / DOMAIN / "registry" / "versions" / "v0001" / "scorer" / "extra").write_text("?")
    return folder


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with Warm(tmp_path_factory.mktemp("warm")) as process:
        yield process


def sweep(command: Command, kills: int, warm: Warm, kept: Path, case: Path) -> None:
    """Kill at the first access, the second and so on, each time on a copy of what is kept."""
    words = [word.format(case=case) for word in command.words.split()]
    if words[0] not in ("restore", "approve"):
        words += ["--store", str(case / "runs")]
        words += [] if words[0] == "clean" else ["--domain", DOMAIN]
    undisturbed = None
    for at in count():
        shutil.rmtree(case, ignore_errors=True)
        shutil.copytree(kept, case, symlinks=True)
        killed = [warm.run(words, case, at) for _ in range(kills if at else 0)]
        if killed and killed[0][0] == 0:
            break
        assert all(code == -signal.SIGKILL for code, _ in killed[:1]), killed
        code, said = warm.run(words, case)
        refused = undisturbed and command.told and command.told.format(case=case) in said
        assert code == 0 or refused, (at, said)
        undisturbed = undisturbed or state(case)
        assert state(case) == undisturbed, f"killed before access {at}"
    assert undisturbed != state(kept)
    assert at > command.least


@pytest.mark.parametrize("kills", [1, 2])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_anywhere_and_given_again_leaves_what_an_undisturbed_one_does(
    name: str, kills: int, warm: Warm, kept: Path, tmp_path: Path
) -> None:
    sweep(COMMANDS[name], kills, warm, kept, tmp_path / "case")


@pytest.mark.parametrize("kills", [1, 2])
@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_killed_anywhere_and_given_again_holds(
    name: str, kills: int, kept: Path, server: dict[str, str], tmp_path: Path
) -> None:
    with Warm(tmp_path / "home", **server) as warm:
        sweep(DECISIONS[name], kills, warm, kept, tmp_path / "case")
