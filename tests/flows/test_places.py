"""Guards what a served run lives by: it ends with its server, whenever that is killed."""

import os
import subprocess
import sys

from flows.places import SERVER_PID_VARIABLE
from tests.flows.smoke import PROJECT

RUN = """
import time
from flows.places import ends_with_parent
with ends_with_parent():
    time.sleep(60)
"""


def run_below(server: int) -> "subprocess.Popen[bytes]":
    environment = os.environ | {SERVER_PID_VARIABLE: str(server)}
    return subprocess.Popen([sys.executable, "-c", RUN], env=environment, cwd=PROJECT)


def test_a_run_whose_server_died_before_it_looked_ends_too() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert run_below(gone.pid).wait(timeout=30) == 1


def test_a_run_whose_server_lives_goes_on() -> None:
    run = run_below(os.getpid())
    try:
        run.wait(timeout=4)
        ended = True
    except subprocess.TimeoutExpired:
        ended = False
    run.kill()
    run.wait()
    assert not ended
