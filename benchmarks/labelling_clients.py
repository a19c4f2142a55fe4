"""The clients compared: ours, what one writes first, and Curator in its own environment."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai

from benchmarks.labelling_endpoint import TOKENS_PER_CALL
from tasks.core.labeling.client import label_all
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.prompts import DEFAULT_PROMPT, LabelRequest, request_messages
from tasks.core.policy import Policy, parse_policy_text
from tests.core.labeling.conftest import POLICY_TEXT, make_requests

CONCURRENCY = 32
TIMEOUT_S = 3.0
# Tokens a minute that the endpoint allows, per request a minute: the requests bind.
WIDE = 1.5 * TOKENS_PER_CALL
# Of the endpoint's allowance, so that clocks that differ a little do not meet it.
PACE = 0.99


def make_policy() -> Policy:
    return parse_policy_text(POLICY_TEXT, "policy.md")


def make_endpoint(
    base_url: str, requests_per_minute: float, tokens_per_minute: float | None = None
) -> Endpoint:
    return Endpoint(
        base_url=base_url,
        model="scripted-1",
        api_key_env="",
        requests_per_minute=PACE * requests_per_minute,
        tokens_per_minute=PACE * (tokens_per_minute or WIDE * requests_per_minute),
        concurrency=CONCURRENCY,
        timeout_s=TIMEOUT_S,
    )


def run_ours(
    base_url: str, pairs: int, rate: float, journal_path: str, tokens: float
) -> dict[str, int]:
    with Journal(Path(journal_path)) as journal:
        done = label_all(
            make_requests(pairs),
            policy=make_policy(),
            endpoint=make_endpoint(base_url, rate, tokens),
            journal=journal,
        )
        return {judgment.pair_id: judgment.grade for judgment in done.judgments}


def run_semaphore(base_url: str, pairs: int, rate: float, _: str, __: float) -> dict[str, int]:
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


CLIENTS: dict[str, Callable[[str, int, float, str, float], dict[str, int]]] = {
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
