"""Training by several processes of this machine: a GPU each, or a share of the processor's cores.

Each process calls the same learner with the same arguments, and the training loop shares every
step's rows out over those it finds. The first one's weights come home.
"""

import logging
import os
import shutil
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CDLL
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ParamSpec

import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.multiprocessing.spawn import ProcessException, spawn
from transformers.utils.logging import disable_progress_bar

from tasks.core.errors import CookbookError
from tasks.core.training.loop import TrainingReport
from tasks.core.training.precision import best_device

P = ParamSpec("P")
Learner = Callable[P, TrainingReport]
# While one process encodes millions of pairs, or writes a checkpoint, the others wait for it.
_PATIENCE = timedelta(days=1)
# Linux's PR_SET_PDEATHSIG.
_SIGNAL_OF_PARENTS_DEATH = 1


def shared_out(learn: Learner[P]) -> Learner[P]:
    """Let ``optimization.processes`` processes run a learner, which then has to be importable.

    The first argument is what learns: it is saved, loaded by every process, and takes over what
    the first of them ends with. ``progress`` is called here; all else is sent to the processes.

    Raises:
        CookbookError: the machine has fewer GPUs than processes are asked for, or what one
            process raised.
    """

    @wraps(learn)
    def learned(*args: P.args, **kwargs: P.kwargs) -> TrainingReport:
        bound = signature(learn).bind(*args, **kwargs)
        processes: int = bound.arguments["optimization"].processes
        if processes == 1 or dist.is_initialized():
            return learn(*args, **kwargs)
        return _learn_in(processes, learned, bound.arguments)

    return learned


def check_gpus(processes: int) -> None:
    """Pass if each process can have a GPU of its own, or the machine has none at all.

    Raises:
        CookbookError: there are fewer GPUs than processes.
    """
    if torch.cuda.is_available() and torch.cuda.device_count() < processes:
        raise CookbookError(
            f"Each process has a GPU of its own; came {processes} processes for "
            f"{torch.cuda.device_count()}. Set COOKBOOK_PROCESSES to that or fewer."
        )


def begin(rank: int, threads: int) -> None:
    """Be one of several processes: end with their parent, quietly, on a device of one's own.

    A process that outlived a killed run would write beside the next one.
    """
    CDLL(None).prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:
        os._exit(1)  # it died before it could be heard of
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends them
    disable_progress_bar()  # type: ignore[no-untyped-call]
    warnings.simplefilter("ignore", FutureWarning)
    logging.getLogger().setLevel(logging.WARNING if rank == 0 else logging.ERROR)
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)
    else:
        os.environ |= {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": str(threads)}
        torch.set_num_threads(threads)


@contextmanager
def none_outlives() -> Iterator[None]:
    """Whatever ends the block ends the processes that began in it, were they still beginning.

    Left to themselves they would keep this one from ending, which waits for its processes.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    finally:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
            process.join()


@dataclass(frozen=True)
class _Job:
    """What every process is told."""

    learn: Callable[..., TrainingReport]
    kind: type[Any]
    arguments: dict[str, Any]
    folder: Path
    processes: int
    threads: int
    told: Any

    @property
    def start(self) -> Path:
        return self.folder / "start"

    @property
    def end(self) -> Path:
        return self.folder / "end"


def _learn_in(
    processes: int, learn: Callable[..., TrainingReport], arguments: dict[str, Any]
) -> TrainingReport:
    check_gpus(processes)
    learner, *_ = arguments.values()
    progress = arguments.get("progress") or (lambda done, total: None)
    with _folder(arguments.get("checkpoints")) as folder:
        job = _Job(
            learn,
            type(learner),
            {name: arguments[name] for name in [*arguments][1:] if name != "progress"},
            folder,
            processes,
            max(1, torch.get_num_threads() // processes),
            multiprocessing.get_context("spawn").SimpleQueue(),
        )
        learner.save(job.start)
        learner.model.to("cpu")
        torch.cuda.empty_cache()  # the first process needs this card whole
        report = _await(job, progress)
        vars(learner).update(vars(type(learner).load(job.end)))
        learner.model.to(best_device())  # where training in one process leaves it
    return report


@dataclass
class _Told:
    """What the processes have told so far."""

    progress: Callable[[int, int], None]
    report: TrainingReport | None = None
    error: Exception | None = None

    def hear(self, job: _Job) -> None:
        while not job.told.empty():
            kind, value = job.told.get()
            match kind:
                case "progress":
                    self.progress(*value)
                case "report":
                    self.report = value
                case "refused":
                    self.error = CookbookError(value)
                case _:
                    self.error = RuntimeError(f"A training process failed.\n\n{value}")


def _await(job: _Job, progress: Callable[[int, int], None]) -> TrainingReport:
    """Run the job to its end; none of its processes outlives this call."""
    told, over = _Told(progress), False
    with none_outlives():
        started = spawn(_run, args=(job,), nprocs=job.processes, join=False)  # type: ignore[no-untyped-call]
        while not over and told.error is None:
            try:
                over = started.join(timeout=0.1)
            except ProcessException as error:
                told.error = error
            told.hear(job)
        # Before the others are ended: who was killed is why they failed, too.
        killed = [
            process.exitcode for process in started.processes if process.exitcode == -signal.SIGKILL
        ]
    if killed:
        raise CookbookError(
            f"{len(killed)} of {job.processes} training processes got SIGKILL, as the system ends "
            "who takes too much memory: then lower COOKBOOK_PROCESSES. Run again: training goes "
            "on from its last checkpoint."
        ) from told.error
    if told.error is not None:
        raise told.error
    assert told.report is not None, "the first process ended without a report"
    return told.report


def _run(rank: int, job: _Job) -> None:
    """One process: join the others, learn, and, as the first, leave what was learned."""
    begin(rank, job.threads)
    with _joined(rank, job):
        learner = job.kind.load(job.start)
        tell = (lambda *step: job.told.put(("progress", step))) if rank == 0 else None
        try:
            report = job.learn(learner, **job.arguments, progress=tell)
        except CookbookError as error:
            job.told.put(("refused", str(error)))
            raise
        except Exception:
            # Told here, since a process that fails may wait for the others before it ends.
            job.told.put(("failed", traceback.format_exc()))
            raise
        if rank == 0:
            learner.save(job.end)
            job.told.put(("report", report))


@contextmanager
def _joined(rank: int, job: _Job) -> Iterator[None]:
    """Inside, this process is one of the job's; they meet by a file, and talk within the machine.

    accelerate finds them by the variables that torchrun sets.
    """
    numbers = {"RANK": rank, "LOCAL_RANK": rank}
    sizes = {"WORLD_SIZE": job.processes, "LOCAL_WORLD_SIZE": job.processes}
    os.environ.update({name: str(value) for name, value in (numbers | sizes).items()})
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    dist.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        store=dist.FileStore(str(job.folder / "meeting"), job.processes),  # type: ignore[attr-defined]
        rank=rank,
        world_size=job.processes,
        timeout=_PATIENCE,
    )
    yield
    dist.destroy_process_group()  # not after an error, where it might wait for the others


@contextmanager
def _folder(checkpoints: Path | None) -> Iterator[Path]:
    """Where weights lie on their way, beside the checkpoints, whose disk is large enough."""
    if checkpoints is None:
        with TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    folder = checkpoints / "processes"
    shutil.rmtree(folder, ignore_errors=True)  # a killed run's
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
