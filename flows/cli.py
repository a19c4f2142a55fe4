"""`cookbook`: the same flows as in the UI, from a shell."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from cyclopts import App, CycloptsError

from flows.commands.golden import golden
from flows.commands.intents import intents
from flows.commands.models import models
from flows.commands.operations import clean, doctor, serve, simulate
from flows.commands.pipeline import distill, evaluate, label, personalize, run, train
from flows.commands.policies import policy
from flows.commands.refreshing import refresh
from flows.commands.runs import compare, explain, forget, plan
from flows.commands.scoring import drift, score
from flows.local_server import keep_libraries_quiet
from flows.stop_reasons import NO_ROOM, ran_out_of_room
from tasks.core.errors import CookbookError

USERS_MISTAKE, INTERRUPTED, TERMINATED = 2, 130, 143
SERVER_GONE = (
    "Prefect's server must answer for as long as a run lasts, and stopped answering. What was "
    "finished is kept: start the server, or unset PREFECT_API_URL, and run the same command again."
)

app = App(
    name="cookbook",
    help="From a policy document and graded pairs to a small, calibrated, personal ranker.",
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
PARTS = (run, plan, label, train, distill, personalize, evaluate)
AROUND = (refresh, score, intents, drift, explain, compare, simulate, forget, clean, serve, doctor)
for command in (*PARTS, *AROUND):
    app.command(command)
for group in (models, policy, golden):
    app.command(group)


class Terminated(KeyboardInterrupt):
    """SIGTERM: handled as Ctrl-C is, so that what cleans up after itself does."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's mistake is one line on stderr and exit code 2."""
    keep_libraries_quiet()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except CookbookError as error:
        print(f"cookbook: {error}", file=sys.stderr)
        sys.exit(USERS_MISTAKE)
    except CycloptsError as error:
        print(f"cookbook: {' '.join(str(error).split())} See --help.", file=sys.stderr)
        sys.exit(USERS_MISTAKE)
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; Python must not write to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if stop := _stop_behind(error):
            _end_stopped(stop)
        if ran_out_of_room(error):
            print(f"cookbook: {NO_ROOM}", file=sys.stderr)
        # The judge's client raises kinds of its own: what httpx raises here, or what derives from
        # its kinds (a server without its database), Prefect's raised.
        elif any(kind.__module__.startswith("httpx") for kind in type(error).__mro__):
            print(f"cookbook: {SERVER_GONE}", file=sys.stderr)
            # Prefect would go on for minutes, offering its last events to a server that is away.
            sys.stdout.flush()
            os._exit(USERS_MISTAKE)
        else:
            raise
        sys.exit(USERS_MISTAKE)
    except KeyboardInterrupt as stop:
        _end_stopped(stop)


def _stop_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """The stop that an error came of: Prefect, stopped while it opens a task, raises its own."""
    from prefect.exceptions import TerminationSignal

    while error is not None and not isinstance(error, KeyboardInterrupt):
        # While a flow runs, SIGTERM is Prefect's to handle, and it raises this in our stop's place.
        if isinstance(error, TerminationSignal):
            return Terminated()
        error = error.__cause__ or error.__context__
    return error


def _end_stopped(stop: KeyboardInterrupt) -> NoReturn:
    print("cookbook: stopped; run the same command again to go on.", file=sys.stderr)
    sys.exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


if __name__ == "__main__":
    main()
