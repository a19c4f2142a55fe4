"""The Batch API of a provider in memory, on loopback: the network's far end of the batch tests."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai

from tasks.core.labeling.batch import BatchDesk
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.prices import Price
from tasks.core.policy import Policy
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


def open_desk(
    provider: BatchProvider, journal: Journal, policy: Policy, folder: Path, **options: Any
) -> BatchDesk:
    endpoint = Endpoint(provider.base_url, "m", api_key_env="")
    judge = Judge(policy, endpoint, journal, price=PRICE, budget_usd=options.pop("budget", None))
    client = openai.OpenAI(base_url=provider.base_url, api_key="none", max_retries=0)
    return BatchDesk(judge, folder, client, **options)
