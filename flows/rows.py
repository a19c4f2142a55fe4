"""Who waits for whom among the runs that `cookbook serve` starts."""

import asyncio
from contextlib import suppress

from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import TerminationSignal
from prefect.runner import Runner

# What only reads the store, or decides about a model, does not wait behind hours of training: a
# candidate that waits is compared with what serves now, and the training may end by promoting.
BESIDE = ("score", "approve")


def serve_in_rows(offered: list[RunnerDeployment]) -> None:
    """Start the runs of the deployments until a signal comes: one at a time in each row.

    The store's own lock is the guarantee that one run writes at a time, a row the waiting room. A
    runner with a larger limit would not do: Prefect tries a run that finds its deployment at work
    again after 30 seconds, and cancels a scheduled one, though it should tell what made up for it.
    """
    runners = []
    for row in rows(offered):
        # Paused at its end, a deployment would lose its runs that are due meanwhile.
        runner = Runner(pause_on_shutdown=False, limit=1)
        for one in row:
            runner.add_deployment(one)
        runners.append(runner)
    with suppress(KeyboardInterrupt, TerminationSignal):  # how a person ends it
        asyncio.run(_together(runners))


def rows(offered: list[RunnerDeployment]) -> list[list[RunnerDeployment]]:
    """The deployments that share a row: all that write the store; each other one by itself."""
    writers = [one for one in offered if one.name not in BESIDE]
    return [writers, *([one] for one in offered if one.name in BESIDE)]


async def _together(runners: list[Runner]) -> None:
    await asyncio.gather(*(runner.start() for runner in runners))
