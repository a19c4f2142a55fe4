"""Contests: contenders in processes of their own, each in its own environment, taking turns.

A contender reads one JSON object a line and answers with one. Only one works at a time: in each
round every contender does the same work, so that noise of the machine falls on all alike.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
MARK = "ANSWER "


@dataclass
class Contender:
    """A process that answers; ``module`` runs under ``python`` with these arguments."""

    name: str
    python: str
    module: str
    arguments: Sequence[str]
    process: "subprocess.Popen[str]" = field(init=False)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [self.python, "-m", self.module, *self.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": str(PROJECT), "HF_HUB_OFFLINE": "1"},
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        """Send a question, wait for the answer; other lines of its output are dropped."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line.removeprefix(MARK))
                return answer
        raise RuntimeError(f"{self.name} ended without an answer: exit {self.process.wait()}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def rounds(
    contenders: Sequence[Contender], count: int, warmup: int
) -> dict[str, list[dict[str, float]]]:
    """Answers of each contender's turns, after ``warmup`` turns that do not count.

    Each is told on stderr as it comes: a contest that is broken off leaves what it had.
    """
    answers: dict[str, list[dict[str, float]]] = {one.name: [] for one in contenders}
    for number in range(warmup + count):
        for one in contenders:
            answer = one.ask(turn=number)
            print(f"{number} {one.name:<24}{answer['seconds']:>8.1f} s", file=sys.stderr)
            if number >= warmup:
                answers[one.name].append(answer)
    return answers


def faster(
    answers: dict[str, list[dict[str, float]]],
    peer: str,
    *,
    ours: str = "ours",
    clock: str = "seconds",
) -> dict[str, float]:
    """The peer's seconds over ours, turn by turn of the same round: above 1 we are faster.

    With the clock ``cpu_seconds``, time in which other processes had the core does not count.
    """
    found = [
        their[clock] / our[clock] for our, their in zip(answers[ours], answers[peer], strict=True)
    ]
    return {"median": statistics.median(found), "low": min(found), "high": max(found)}


def smaller(answers: dict[str, list[dict[str, float]]], peer: str) -> dict[str, float]:
    """The peer's peak memory over ours, each process's whole."""
    return single(answers[peer][-1]["peak_mb"] / answers["ours"][-1]["peak_mb"])


def per_second(answers: list[dict[str, float]], items: int) -> float:
    """Items per second of the median turn."""
    return items / statistics.median(answer["seconds"] for answer in answers)


def single(value: float) -> dict[str, float]:
    """A ratio measured once."""
    return {"median": value, "low": value, "high": value}


def finish(
    name: str,
    ratios: dict[str, Any],
    figures: dict[str, float],
    versions: dict[str, Any],
    left_out: Sequence[str] = (),
) -> None:
    """Print the table for people, then the JSON object; only called once results were equal."""
    wide = 2 + max(map(len, (*ratios, *left_out)), default=0)
    for peer, metrics in ratios.items():
        for metric, value in metrics.items():
            span = f"{value['median']:8.2f}  ({value['low']:.2f} to {value['high']:.2f})"
            print(f"{peer:{wide}}{metric:28}{span}")
    for metric, figure in figures.items():
        print(f"{metric:{wide + 28}}{figure:8.2f}")
    for peer in left_out:
        print(f"{peer:{wide}}left out: no environment given (--peer-python)")
    result = {
        "name": name,
        "equal": True,
        "ratios": ratios,
        "figures": figures,
        "environment": environment() | versions,
    }
    print(json.dumps(result))


def environment() -> dict[str, Any]:
    """Where the figures come from."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "load": round(os.getloadavg()[0], 1),
    }


def own_python() -> str:
    return sys.executable
