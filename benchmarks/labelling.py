"""Labeling against a hostile endpoint: ours, AsyncOpenAI with a semaphore, and Curator.

    python -m benchmarks.labelling
    python -m benchmarks.labelling --curator-python PATH    Curator in an environment of its own

The endpoint answers after 200 ms, holds to a rate, fails 2% of the calls with 5xx, hangs, drops
connections, sends broken bodies, and refuses everything for a while in the middle. It bills what
it answers. Each client runs in a process of its own, one after the other, with the same limits.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai

from tasks.core.labeling.client import label, label_all
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.prompts import (
    DEFAULT_PROMPT,
    LabelRequest,
    request_key,
    request_messages,
)
from tasks.core.labeling.replies import Reply
from tasks.core.policy import Policy, parse_policy_text
from tests.core.labeling.conftest import POLICY_TEXT, make_requests, right_grade
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint, grade_answer

CONCURRENCY = 16
TIMEOUT_S = 3.0
LATENCY_S = 0.2
TOKENS_PER_CALL = 1050
STORM_S = 2.0
# Of the endpoint's allowance, so that clocks that differ a little do not meet it.
PACE = 0.99
MEMORY_PAIRS = 200_000


@dataclass
class HostileEndpoint:
    """Scripts faults by call number, holds to a rate, and counts what it let through."""

    requests_per_minute: float
    storm_after: int
    accepted: int = 0
    refused: int = 0
    _level: float = 0.0
    _last: float | None = None
    _storm_until: float | None = None
    first: float = 0.0
    last: float = 0.0
    fates: dict[str, int] = field(default_factory=dict)

    def __call__(self, call: Call) -> Answer:
        self.first, self.last = self.first or call.at, call.at
        wait = self._storm(call) or self._over_rate(call)
        if wait:
            self.refused += 1
            return Answer(status=429, headers={"retry-after": f"{wait:.2f}"})
        self.accepted += 1
        fate = call.number * 7919 % 1000  # spread evenly, the same in each run
        if fate < 20:
            return Answer(status=500 + fate % 4, delay_s=LATENCY_S)
        if fate < 23:
            return Answer(then="hang", billed=False)
        if fate < 28:
            return Answer(then="drop", billed=False, delay_s=LATENCY_S)
        if fate < 33:
            return Answer(body=b"<html>bad gateway</html>", billed=False, delay_s=LATENCY_S)
        grade = int(call.pair["document"].split()[-1])
        return Answer(grade_answer(grade), delay_s=LATENCY_S)

    def _storm(self, call: Call) -> float:
        """Seconds to wait while everybody is refused; 0 outside the storm."""
        if self._storm_until is None and call.number >= self.storm_after:
            self._storm_until = call.at + STORM_S
        return max(0.0, (self._storm_until or 0.0) - call.at)

    def _over_rate(self, call: Call) -> float:
        """A leaky bucket of one second's burst; 0 if there is room, else seconds until there is."""
        per_second = self.requests_per_minute / 60
        passed = call.at - (self._last if self._last is not None else call.at)
        self._last = call.at
        self._level = max(0.0, self._level - passed * per_second)
        if self._level + 1 > per_second:
            return (self._level + 1 - per_second) / per_second
        self._level += 1
        return 0.0

    def rate_share(self) -> float:
        """Calls let through, of those allowed outside the storm: the rate, and one burst of 1 s."""
        open_s = self.last - self.first - STORM_S + 1.0
        return self.accepted / open_s / (self.requests_per_minute / 60)


def make_policy() -> Policy:
    return parse_policy_text(POLICY_TEXT, "policy.md")


def make_endpoint(base_url: str, requests_per_minute: float) -> Endpoint:
    return Endpoint(
        base_url=base_url,
        model="scripted-1",
        api_key_env="",
        requests_per_minute=PACE * requests_per_minute,
        tokens_per_minute=1.5 * TOKENS_PER_CALL * requests_per_minute,
        concurrency=CONCURRENCY,
        timeout_s=TIMEOUT_S,
    )


# --- clients, each the main function of a process of its own ------------------


def run_ours(base_url: str, pairs: int, rate: float, journal_path: str) -> dict[str, int]:
    with Journal(Path(journal_path)) as journal:
        done = label_all(
            make_requests(pairs),
            policy=make_policy(),
            endpoint=make_endpoint(base_url, rate),
            journal=journal,
        )
        return {judgment.pair_id: judgment.grade for judgment in done.judgments}


def run_semaphore(base_url: str, pairs: int, rate: float, _: str) -> dict[str, int]:
    """What one writes first: gather over all pairs, a semaphore, the client's own retries."""
    policy, grades = make_policy(), {}
    client = openai.AsyncOpenAI(base_url=base_url, api_key="none", timeout=TIMEOUT_S)
    semaphore = asyncio.Semaphore(CONCURRENCY)

    async def one(request: LabelRequest) -> None:
        messages: Any = request_messages(policy, request, DEFAULT_PROMPT)
        async with semaphore:
            try:
                answer = await client.chat.completions.create(model="scripted-1", messages=messages)
                grades[request.pair_id] = json.loads(answer.choices[0].message.content or "")[
                    "grade"
                ]
            except (openai.OpenAIError, ValueError, KeyError, AttributeError, TypeError):
                pass  # the pair is lost, which is what is counted

    async def everything() -> None:
        await asyncio.gather(*(one(request) for request in make_requests(pairs)))

    asyncio.run(everything())
    return grades


CLIENTS: dict[str, Callable[[str, int, float, str], dict[str, int]]] = {
    "ours": run_ours,
    "semaphore": run_semaphore,
}

# Runs in Curator's own environment, which has nothing of ours. Its tokenizer would be downloaded;
# bytes stand in for tokens, and its token limit is wide enough not to matter.
CURATOR_CLIENT = """
import json, os, sys, tempfile
os.environ.update(CURATOR_CACHE_DIR=tempfile.mkdtemp(), CURATOR_DISABLE_RICH_DISPLAY="1",
                  TELEMETRY_ENABLED="false", OPENAI_API_KEY="none")
import tiktoken
tiktoken.get_encoding = lambda name: tiktoken.Encoding(
    "bytes", pat_str=".", mergeable_ranks={bytes([n]): n for n in range(256)}, special_tokens={})
from bespokelabs import curator
base_url, prompts, rate, concurrency, timeout = json.load(sys.stdin)
class Grader(curator.LLM):
    def prompt(self, row):
        return [{"role": "system", "content": row["system"]},
                {"role": "user", "content": row["user"]}]
    def parse(self, row, response):
        return {"pair_id": row["pair_id"], "grade": json.loads(response)["grade"]}
grader = Grader(model_name="scripted-1", backend="openai", backend_params={
    "base_url": base_url, "max_requests_per_minute": int(rate),
    "max_tokens_per_minute": int(rate * 20000), "max_concurrent_requests": concurrency,
    "request_timeout": int(timeout), "require_all_responses": False})
result = grader(prompts)
rows = result.dataset if hasattr(result, "dataset") else result
print(json.dumps({row["pair_id"]: row["grade"] for row in rows}))
"""


def run_curator(python: str, base_url: str, pairs: int, rate: float) -> dict[str, int]:
    policy = make_policy()
    prompts = []
    for request in make_requests(pairs):
        system, user = request_messages(policy, request, DEFAULT_PROMPT)
        texts = {"system": system["content"], "user": user["content"]}
        prompts.append({"pair_id": request.pair_id, **texts})
    asked = json.dumps([base_url, prompts, PACE * rate, CONCURRENCY, TIMEOUT_S])
    done = subprocess.run(
        [python, "-c", CURATOR_CLIENT], input=asked, capture_output=True, text=True, check=True
    )
    grades: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return grades


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


# --- measurements -------------------------------------------------------------


def compete(client: str, pairs: int, rate: float, python: str | None) -> dict[str, float]:
    """One client against a fresh endpoint: labels, rate, waste."""
    script = HostileEndpoint(requests_per_minute=rate, storm_after=pairs // 2)
    with ScriptedEndpoint(script) as server, tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        if python:
            grades, memory_mb = run_curator(python, server.base_url, pairs, rate), float("nan")
        else:
            grades, memory_mb = spawn(
                client, server.base_url, str(pairs), str(rate), f"{folder}/journal.jsonl"
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
        arguments = (server.base_url, str(pairs), "1e6", f"{folder}/journal.jsonl")
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


def stream_journal(path: str, pairs: int) -> None:
    """Label pairs that the journal answers, as a stream: the memory of the whole machinery."""
    policy, endpoint = make_policy(), make_endpoint("http://127.0.0.1:1/v1", 1e6)
    requests = (
        LabelRequest(f"pair-{number}", "nurse", "", f"job {number} worth {number % 4}")
        for number in range(pairs)
    )
    with Journal(Path(path)) as journal:

        async def drain() -> int:
            stream = label(requests, policy=policy, endpoint=endpoint, journal=journal)
            return sum([1 async for _ in stream])

        assert asyncio.run(drain()) == pairs


def write_journal(path: Path, pairs: int) -> None:
    policy, endpoint = make_policy(), make_endpoint("http://127.0.0.1:1/v1", 1e6)
    with Journal(path) as journal:
        for request in make_requests(pairs):
            key = request_key(policy, request, DEFAULT_PROMPT, endpoint)
            grade = int(request.document_text.split()[-1])
            reply = Reply(text=grade_answer(grade), model="scripted-1", finish_reason="stop")
            journal.intend(key, pair_id=request.pair_id, usd=0.0, run="", billed=True)
            journal.answer(key, reply, usd=0.0, run="")


def memory_of(pairs: int) -> float:
    """Peak memory in MB of a process that labels this many pairs from its journal."""
    with tempfile.TemporaryDirectory() as folder:
        write_journal(Path(folder) / "j", pairs)
        return spawn("memory", f"{folder}/j", str(pairs))[1]


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
    if client == "memory":
        stream_journal(rest[0], int(rest[1]))
        grades: dict[str, int] = {}
    else:
        grades = CLIENTS[client](rest[0], int(rest[1]), float(rest[2]), rest[3])
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
    parser.add_argument("--curator-python", help="python of an environment with Curator")
    parser.add_argument("--memory-pairs", type=int, default=MEMORY_PAIRS)
    parser.add_argument("--client", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.client:
        run_client(chosen.client)
        return
    results = {client: compete(client, chosen.pairs, chosen.rate, None) for client in CLIENTS}
    if chosen.curator_python:
        results["curator"] = compete("curator", chosen.pairs, chosen.rate, chosen.curator_python)
    ours = results["ours"]
    figures = {
        **{name: value for name, value in ours.items() if name != "wrong"},
        **kill_in_the_middle(chosen.pairs),
        "requests_per_cpu_s": throughput(2000),
        "memory_mb_small": memory_of(chosen.memory_pairs // 100),
        f"memory_mb_{chosen.memory_pairs}_pairs": memory_of(chosen.memory_pairs),
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
