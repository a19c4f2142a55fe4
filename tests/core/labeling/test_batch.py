"""Batches are submitted once, merged by id, and found again after a crash."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest

from tasks.core.errors import CookbookError
from tasks.core.labeling.batch import BatchDesk
from tasks.core.labeling.budget import BudgetReachedError
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.prices import Price
from tasks.core.policy import Policy
from tests.core.labeling.conftest import make_requests
from tests.core.labeling.scripted_endpoint import grade_answer

PRICE = Price(input_usd=2.0, cached_input_usd=2.0, output_usd=2.0)


class BatchProvider(ThreadingHTTPServer):
    """The Batch API in memory: files in, files out, and what it would bill."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.billed: list[str] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def answer_line(self, line: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The output line of one input line: the grade that the document names."""
        content = line["body"]["messages"][1]["content"]
        found = re.search(r'worth (\d)"', content)
        assert found
        self.billed.append(line["custom_id"])
        message = {"role": "assistant", "content": grade_answer(int(found[1]))}
        body = {
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 900, "completion_tokens": 100},
        }
        response = {"status_code": 200, "body": body}
        return {"id": "x", "custom_id": line["custom_id"], "response": response} | changes

    def finish(self, batch_id: str, status: str = "completed", only: int | None = None) -> None:
        """End a batch: answer its first ``only`` requests, in reverse order; the rest expire."""
        batch = self.batches[batch_id]
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        cut = len(lines) if only is None else only
        self.write(batch_id, "output", [self.answer_line(line) for line in lines[:cut][::-1]])
        expired = [
            {"custom_id": line["custom_id"], "error": {"code": "batch_expired"}}
            for line in lines[cut:]
        ]
        if expired:
            self.write(batch_id, "error", expired)
        batch["status"] = status

    def write(self, batch_id: str, kind: str, lines: list[dict[str, Any]]) -> None:
        file_id = f"file-{kind}-{batch_id}"
        self.files[file_id] = "\n".join(map(json.dumps, lines)).encode()
        self.batches[batch_id][f"{kind}_file_id"] = file_id


class _Handler(BaseHTTPRequestHandler):
    server: BatchProvider

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/files":
            boundary = self.headers["content-type"].split("boundary=")[1].encode()
            part = next(p for p in body.split(b"--" + boundary) if b'name="file"' in p)
            file_id = f"file-{len(self.server.files)}"
            self.server.files[file_id] = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            self._reply({"id": file_id, "object": "file", "purpose": "batch"})
        else:
            asked = json.loads(body)
            batch_id = f"batch-{len(self.server.batches)}"
            self.server.batches[batch_id] = asked | {
                "id": batch_id,
                "object": "batch",
                "status": "validating",
            }
            self._reply(self.server.batches[batch_id])

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].removeprefix("/v1/")
        if name == "batches":
            batches = list(self.server.batches.values())
            self._reply({"object": "list", "data": batches, "has_more": False})
        elif name.startswith("batches/"):
            self._reply(self.server.batches[name.split("/")[1]])
        else:
            self._send(self.server.files[name.split("/")[1]])

    def do_DELETE(self) -> None:
        del self.server.files[self.path.split("/")[-1]]
        self._reply({"deleted": True})

    def _reply(self, value: dict[str, Any]) -> None:
        self._send(json.dumps(value).encode())

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[BatchProvider]:
    with BatchProvider() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def open_desk(
    provider: BatchProvider, journal: Journal, policy: Policy, folder: Path, **options: Any
) -> BatchDesk:
    endpoint = Endpoint(provider.base_url, "m", api_key_env="")
    judge = Judge(policy, endpoint, journal, price=PRICE, budget_usd=options.pop("budget", None))
    client = openai.OpenAI(base_url=provider.base_url, api_key="none", max_retries=0)
    return BatchDesk(judge, folder, client, **options)


def test_answers_come_back_by_id_at_half_price(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b")
    requests = make_requests(10)
    assert desk.submit(requests) == 10
    assert desk.submit(requests) == 0
    provider.finish("batch-0")
    assert desk.poll() == {"batch-0": "completed"}
    assert desk.merge().merged == 10
    assert desk.is_finished
    done = desk.judge.label(requests)
    assert [judgment.grade for judgment in done.judgments] == [n % 4 for n in range(10)]
    assert done.progress.calls == 0
    # 1,000 tokens at 2 dollars a million, halved.
    assert journal.spent_usd("") == pytest.approx(10 * 1000 * 2.0 / 1e6 / 2)
    # Neither the provider nor the folder keeps what is merged.
    assert provider.files == {}
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["batches.json"]


def test_parts_keep_within_both_limits(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b", max_requests=4)
    assert desk.submit(make_requests(10)) == 10
    assert [len(file.splitlines()) for file in provider.files.values()] == [4, 4, 2]
    line = len(next(iter(provider.files.values())).splitlines()[0]) + 1
    with Journal(tmp_path / "other") as other:
        small = open_desk(provider, other, policy, tmp_path / "c", max_bytes=3 * line)
        small.submit(make_requests(6))
    assert all(len(file) <= 3 * line for file in provider.files.values() if len(file) < 4 * line)


def test_an_expired_batch_is_merged_and_only_its_rest_submitted_again(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b")
    requests = make_requests(10)
    desk.submit(requests)
    provider.finish("batch-0", "expired", only=6)
    desk.poll()
    counts = desk.merge()
    assert (counts.merged, counts.failed, counts.unanswered) == (6, 4, 0)
    assert desk.submit(requests) == 4
    provider.finish("batch-1")
    desk.poll()
    desk.merge()
    assert len(provider.billed) == 10
    assert len(set(provider.billed)) == 10
    assert desk.judge.label(requests).progress.calls == 0


def test_unknown_duplicate_and_missing_ids_are_no_labels(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b")
    desk.submit(make_requests(4))
    lines = [json.loads(line) for line in provider.files["file-0"].splitlines()]
    answers = [provider.answer_line(line) for line in lines[:3]]
    strange = provider.answer_line(lines[0], custom_id="f" * 64)
    provider.write("batch-0", "output", [*answers, answers[1], strange])
    provider.batches["batch-0"]["status"] = "completed"
    desk.poll()
    counts = desk.merge()
    assert (counts.merged, counts.duplicate, counts.unknown, counts.unanswered) == (3, 1, 1, 1)
    assert len(journal) == 3


def test_a_refused_batch_is_explained(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b")
    desk.submit(make_requests(2))
    errors = {"object": "list", "data": [{"code": "model_not_found", "message": "no"}]}
    provider.batches["batch-0"] |= {"status": "failed", "errors": errors}
    desk.poll()
    with pytest.raises(CookbookError, match="model_not_found"):
        desk.merge()


def test_the_budget_holds_before_anything_is_sent(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b", budget=0.001)
    with pytest.raises(BudgetReachedError):
        desk.submit(make_requests(100))
    assert provider.batches == {}


def test_state_survives_a_restart(provider: BatchProvider, policy: Policy, tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        open_desk(provider, journal, policy, tmp_path / "b").submit(make_requests(5))
    provider.finish("batch-0")
    with Journal(tmp_path / "j") as journal:
        desk = open_desk(provider, journal, policy, tmp_path / "b")
        assert desk.submit(make_requests(5)) == 0
        desk.poll()
        assert desk.merge().merged == 5
    assert len(provider.batches) == 1


SUBMIT = """
import sys
from pathlib import Path
import openai
from tasks.core.labeling.batch import BatchDesk
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import Judge
from tasks.core.policy import parse_policy_text
from tests.core.labeling.conftest import POLICY_TEXT, make_requests

url, folder = sys.argv[1], Path(sys.argv[2])
with Journal(folder / "j") as journal:
    policy = parse_policy_text(POLICY_TEXT, "policy.md")
    judge = Judge(policy, Endpoint(url, "m", api_key_env=""), journal)
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    BatchDesk(judge, folder / "b", client).submit(make_requests(5))
"""


@pytest.mark.faults
def test_a_batch_whose_id_was_lost_in_a_crash_is_found_and_not_submitted_again(
    provider: BatchProvider, policy: Policy, tmp_path: Path
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", SUBMIT, provider.base_url, str(tmp_path)],
        env=os.environ | {"COOKBOOK_FAULT": "batch_after_create"},
        check=False,
    )
    assert killed.returncode == -9
    with Journal(tmp_path / "j") as journal:
        desk = open_desk(provider, journal, policy, tmp_path / "b")
        # Even where other pairs have come in since.
        assert desk.submit(make_requests(7)) == 2
    assert len(provider.batches) == 2
