"""Labeling against a hostile endpoint: ours, AsyncOpenAI with a semaphore, and Curator.

    python -m benchmarks.labelling
    python -m benchmarks.labelling --curator-env FOLDER    Curator too, installed there if need be

The endpoint answers after 200 ms, holds to requests and to tokens a minute, fails 2% of the calls
with 5xx, hangs, drops connections, sends broken bodies, and refuses everything for a while in the
middle. It bills what it answers. Each client runs in a process of its own, one after the other,
with the same limits.
Ours runs once more where the tokens bind and not the requests.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import openai

from benchmarks.labelling_clients import (
    CLIENTS,
    CONCURRENCY,
    WIDE,
    make_endpoint,
    make_policy,
    run_curator,
)
from benchmarks.labelling_endpoint import TOKENS_PER_CALL, HostileEndpoint
from tasks.core.labeling.client import label_all
from tasks.core.labeling.journal import Journal
from tests.core.labeling.conftest import make_requests, right_grade
from tests.core.labeling.scripted_endpoint import ScriptedEndpoint

CURATOR = "bespokelabs-curator==0.1.31"
MEMORY_PAIRS = 200_000
# Where the tokens bind: calls that they allow, per call that the requests allow.
TOKENS_BIND = 0.8


def spawn(client: str, *arguments: str, fault: str = "") -> tuple[dict[str, int], float]:
    """Run a client in a process of its own; its grades and its peak memory in MB."""
    environment = os.environ | ({"COOKBOOK_FAULT": fault} if fault else {})
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.labelling", "--client", client, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=not fault,
    )
    if fault:
        return {}, 0.0
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["grades"], answer["memory_mb"]


def curator_python(folder: Path) -> str:
    """The Python of Curator's environment, which is made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", CURATOR], check=True)
    return str(python)


# --- measurements -------------------------------------------------------------


def compete(
    client: str, pairs: int, rate: float, python: str | None = None, tokens: float | None = None
) -> dict[str, float]:
    """One client against a fresh endpoint: labels, rate, waste."""
    tokens = tokens or WIDE * rate
    script = HostileEndpoint(rate, tokens, storm_after=pairs // 2)
    with ScriptedEndpoint(script) as server, tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        if python:
            grades, memory_mb = run_curator(python, server.base_url, pairs, rate), float("nan")
        else:
            grades, memory_mb = spawn(
                client,
                server.base_url,
                str(pairs),
                str(rate),
                f"{folder}/journal.jsonl",
                str(tokens),
            )
        seconds = time.perf_counter() - started
    wrong = sum(grade != int(name.split("-")[1]) % 4 for name, grade in grades.items())
    return {
        "labeled_share": len(grades) / pairs,
        "wrong": wrong,
        "labels_per_s": len(grades) / seconds,
        "rate_share": script.rate_share(),
        "paid_twice": sum(count - 1 for count in server.billed.values()),
        "paid_calls": server.billed_calls,
        "refused_calls": script.refused,
        "seconds": seconds,
        "memory_mb": memory_mb,
    }


def kill_in_the_middle(pairs: int) -> dict[str, float]:
    """Killed at half, run again: calls paid beyond one a pair."""
    with ScriptedEndpoint(right_grade) as server, tempfile.TemporaryDirectory() as folder:
        arguments = (server.base_url, str(pairs), "1e6", f"{folder}/journal.jsonl", "1e9")
        spawn("ours", *arguments, fault=f"label_after_reply:{pairs // 2}")
        grades, _ = spawn("ours", *arguments)
    assert len(grades) == pairs
    return {"repeated_after_kill": server.billed_calls - pairs, "concurrency": CONCURRENCY}


def throughput(pairs: int) -> float:
    """Requests per second of our client alone, against an endpoint that answers at once."""
    with (
        ScriptedEndpoint(right_grade, keep_calls=False) as server,
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "j") as journal,
    ):
        requests, endpoint = make_requests(pairs), make_endpoint(server.base_url, 1e6)
        started = time.process_time()
        label_all(requests, policy=make_policy(), endpoint=endpoint, journal=journal)
        # Both sides run in this process, so this errs on the low side.
        return pairs / (time.process_time() - started)


def steps_memory(pairs: int) -> dict[str, float]:
    """Peak memory in MB of a process that chooses and labels this many pairs, step by step."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.labelling_step", folder, str(pairs)],
            capture_output=True,
            text=True,
            check=True,
        )
    peaks = json.loads(done.stdout.splitlines()[-1])
    return {f"memory_mb_{name}_{pairs}_pairs": peak for name, peak in peaks.items()}


# --- report -------------------------------------------------------------------


def environment() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "openai": openai.__version__,
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }


def run_client(arguments: list[str]) -> None:
    """The main function of a client's process: grades and peak memory as one JSON line."""
    client, *rest = arguments
    grades = CLIENTS[client](rest[0], int(rest[1]), float(rest[2]), rest[3], float(rest[4]))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"grades": grades, "memory_mb": memory_mb}))


def ratios(results: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Ours over each peer, above 1 where we are better; one run, so no spread."""
    table: dict[str, Any] = {}
    ours = results["ours"]
    for peer, theirs in results.items():
        if peer != "ours":
            values = {
                name: ours[name] / theirs[name] if theirs[name] else None
                for name in ("labeled_share", "labels_per_s", "rate_share")
            }
            table[peer] = {
                name: {"median": value, "low": value, "high": value}
                for name, value in values.items()
            }
    return table


def print_table(results: dict[str, dict[str, float]]) -> None:
    names = list(next(iter(results.values())))
    print(f"{'':16}" + "".join(f"{client:>14}" for client in results))
    for name in names:
        print(f"{name:16}" + "".join(f"{row[name]:14.3f}" for row in results.values()))


def main() -> None:
    """Print the table, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=2400.0, help="requests a minute allowed")
    parser.add_argument("--curator-env", type=Path, help="environment for Curator")
    parser.add_argument("--memory-pairs", type=int, default=MEMORY_PAIRS, help="0: not measured")
    parser.add_argument("--client", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.client:
        run_client(chosen.client)
        return
    results = {client: compete(client, chosen.pairs, chosen.rate) for client in CLIENTS}
    if chosen.curator_env:
        python = curator_python(chosen.curator_env)
        results["curator"] = compete("curator", chosen.pairs, chosen.rate, python)
    ours = results["ours"]
    tokens = TOKENS_BIND * TOKENS_PER_CALL * chosen.rate
    bound = compete("ours", chosen.pairs, chosen.rate, tokens=tokens)
    figures = {
        **{name: value for name, value in ours.items() if name != "wrong"},
        "rate_share_where_tokens_bind": bound["rate_share"],
        **kill_in_the_middle(chosen.pairs),
        "requests_per_cpu_s": throughput(2000),
        **(steps_memory(chosen.memory_pairs // 10) if chosen.memory_pairs else {}),
        **(steps_memory(chosen.memory_pairs) if chosen.memory_pairs else {}),
    }
    print_table(results)
    result = {
        "name": "labelling",
        "equal": ours["wrong"] == 0 and ours["labeled_share"] == 1.0,
        "ratios": ratios(results),
        "figures": figures,
        "environment": environment(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
