"""The provider's Batch API: half the price, up to a day, in three steps that can be resumed.

    desk.submit(requests)     # what is neither in the journal nor under way
    desk.poll()               # statuses; again until all have ended
    desk.merge()              # answers into the journal, by id

Afterwards ``Judge.label`` finds the answers in the journal and asks only for what is missing,
or ``submit`` sends the rest once more. A part is planned on disk before its batch is created
and bears its name there, so that a batch whose id was lost in a crash is found again.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import openai

from tasks.core.errors import CookbookError
from tasks.core.labeling.budget import BudgetReachedError
from tasks.core.labeling.chat import CallFailedError, parse_completion, request_settings
from tasks.core.labeling.journal import member_mark
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.prices import FREE, Price, price_of
from tasks.core.labeling.prompts import LabelRequest, answer_schema, request_key, request_messages
from tasks.core.store.faults import fault_point
from tasks.core.store.files import write_atomically, write_json

# OpenAI's limits for one batch file.
MAX_REQUESTS = 50_000
MAX_BYTES = 200 * 10**6
_ENDED = {"completed", "expired", "failed", "cancelled"}
_PART_FIELD = "cookbook_part"


@dataclass(frozen=True)
class BatchPart:
    """One batch: its name here, its ids there, and how far it is."""

    name: str
    status: str  # planned, then the provider's own words, then merged
    batch_id: str = ""
    input_file_id: str = ""
    most_usd: float = 0.0  # what it can cost at most, which a budget must spare for it


@dataclass
class MergeCounts:
    """What came of the batches that ended; ids that nobody asked for are never labels."""

    merged: int = 0
    failed: int = 0
    unanswered: int = 0
    unknown: int = 0
    duplicate: int = 0


class BatchDesk:
    """The batches of one judge, their state in ``folder``, through an openai client."""

    def __init__(
        self,
        judge: Judge,
        folder: Path,
        client: openai.OpenAI,
        *,
        max_requests: int = MAX_REQUESTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.judge, self.folder, self.client = judge, folder, client
        self.max_requests, self.max_bytes = max_requests, max_bytes
        folder.mkdir(parents=True, exist_ok=True)
        # Looking costs nothing, so looking again may be left to the client.
        self._reader = client.with_options(max_retries=5)
        self._settings = request_settings(judge.endpoint, answer_schema(judge.policy))
        self.parts = self._load()
        self._recover()

    def submit(self, requests: Iterable[LabelRequest]) -> int:
        """Submit what is neither paid for nor under way; returns how many requests went out.

        Raises:
            CookbookError: the provider refuses a file or a batch.
        """
        busy = {key for part in self.parts if part.status != "merged" for key in self._keys(part)}
        sent = 0
        with tempfile.TemporaryFile() as lines:
            keys: list[str] = []
            most_usd = 0.0
            for key, line, usd in self._lines(requests, busy):
                if len(keys) == self.max_requests or lines.tell() + len(line) > self.max_bytes:
                    sent += self._send(keys, lines, most_usd)
                    keys, most_usd = [], 0.0
                keys.append(key)
                lines.write(line)
                most_usd += usd
            return sent + (self._send(keys, lines, most_usd) if keys else 0)

    def poll(self) -> dict[str, str]:
        """Ask for the status of every batch that has not ended; returns all by batch id."""
        for place, part in enumerate(self.parts):
            if part.status != "merged" and part.status not in _ENDED:
                status = self._reader.batches.retrieve(part.batch_id).status
                self.parts[place] = replace(part, status=status)
        self._save()
        return {part.batch_id: part.status for part in self.parts}

    def merge(self) -> MergeCounts:
        """Write the answers of ended batches into the journal, matched by id.

        Raises:
            CookbookError: the provider refused a whole batch, or another model answered.
        """
        counts = MergeCounts()
        for place, part in enumerate(self.parts):
            if part.status in _ENDED:
                files = self._merge_part(part, counts)
                self.parts[place] = replace(part, status="merged")
                self._save()
                # Only now: a crash before this line merges the same files once more.
                (self.folder / f"{part.name}.keys").unlink()
                for file_id in files:
                    self._reader.files.delete(file_id)
        return counts

    @property
    def is_finished(self) -> bool:
        """True once nothing is under way."""
        return all(part.status == "merged" for part in self.parts)

    def _lines(
        self, requests: Iterable[LabelRequest], busy: set[str]
    ) -> Iterator[tuple[str, bytes, float]]:
        """Key with the member's mark, line, and the most it can cost; never past the budget."""
        judge = self.judge
        under_way = sum(part.most_usd for part in self.parts if part.status != "merged")
        committed = judge.journal.spent_usd(judge.run) + under_way
        for request in requests:
            key = request_key(judge.policy, request, judge.prompt, judge.endpoint)
            if key in judge.journal or key in busy:
                continue
            busy.add(key)
            messages = request_messages(judge.policy, request, judge.prompt)
            line = {
                "custom_id": key,
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"messages": messages, **self._settings},
            }
            encoded = json.dumps(line).encode() + b"\n"
            # No tokenizer makes more tokens than bytes.
            most_usd = self._price().of(
                input_tokens=len(encoded), output_tokens=judge.endpoint.max_output_tokens
            )
            committed += most_usd
            if judge.budget_usd is not None and committed > judge.budget_usd:
                raise BudgetReachedError(
                    f"Expected the batch to stay within budget_usd = {judge.budget_usd:.4f}, but "
                    f"its first {len(busy)} requests may cost ${committed:.4f}; raise the budget "
                    "or label fewer pairs."
                )
            yield f"{key} {member_mark(request.member_id)}", encoded, most_usd

    def _send(self, keys: list[str], lines: IO[bytes], most_usd: float) -> int:
        """Plan, upload, create, note; empties ``lines`` for the next part."""
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
        write_atomically(self.folder / f"{name}.keys", "\n".join(keys).encode(), mode=0o600)
        self.parts.append(BatchPart(name, "planned", most_usd=most_usd))
        self._save()
        lines.seek(0)
        try:
            uploaded = self.client.files.create(file=(f"{name}.jsonl", lines), purpose="batch")
            batch = self.client.batches.create(
                input_file_id=uploaded.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={_PART_FIELD: name},
            )
        except openai.OpenAIError as error:
            raise CookbookError(
                f"Expected {self.judge.endpoint.base_url} to take a batch of {len(keys)} requests, "
                f"but it failed ({type(error).__name__}); what was submitted is kept, run again."
            ) from None
        fault_point("batch_after_create")
        self.parts[-1] = BatchPart(name, batch.status, batch.id, uploaded.id, most_usd)
        self._save()
        lines.seek(0)
        lines.truncate()
        return len(keys)

    def _recover(self) -> None:
        """Give planned parts the id of the batch that bears their name, or forget the plan."""
        planned = {part.name for part in self.parts if part.status == "planned"}
        if not planned:
            return
        created = {
            batch.metadata[_PART_FIELD]: batch
            for batch in self._reader.batches.list(limit=100)
            if batch.metadata and batch.metadata.get(_PART_FIELD) in planned
        }
        self.parts = [
            replace(
                part,
                status=created[part.name].status,
                batch_id=created[part.name].id,
                input_file_id=created[part.name].input_file_id,
            )
            if part.name in created
            else part
            for part in self.parts
            if part.name in created or part.status != "planned"
        ]
        self._save()

    def _merge_part(self, part: BatchPart, counts: MergeCounts) -> list[str]:
        """Merge one batch; returns the files that the provider need no longer keep."""
        batch = self._reader.batches.retrieve(part.batch_id)
        if batch.status == "failed":
            codes = [error.code for error in (batch.errors and batch.errors.data) or []]
            raise CookbookError(
                f"Expected {self.judge.endpoint.base_url} to accept batch {part.batch_id}, but it "
                f"refused it ({codes[0] if codes else 'no reason given'}); mend the model's "
                f"name or the settings, delete {self.folder} and run again."
            )
        asked = self._keys(part)
        answered: set[str] = set()
        for file_id in (batch.output_file_id, batch.error_file_id):
            for line in self._download(file_id):
                self._merge_line(line, asked, answered, counts)
        counts.unanswered += len(asked.keys() - answered)
        self.judge.journal.sync()
        files = (batch.output_file_id, batch.error_file_id, part.input_file_id)
        return [file_id for file_id in files if file_id]

    def _merge_line(
        self, line: dict[str, Any], asked: dict[str, str], answered: set[str], counts: MergeCounts
    ) -> None:
        key = line.get("custom_id")
        if key not in asked:
            counts.unknown += 1
            return
        if key in answered:
            counts.duplicate += 1
            return
        answered.add(key)
        response = line.get("response") or {}
        if line.get("error") or response.get("status_code") != 200:
            counts.failed += 1
            return
        try:
            reply = parse_completion(response.get("body"))
        except CallFailedError:
            counts.failed += 1
            return
        if reply.model != (self.judge.endpoint.pinned_model or reply.model):
            raise CookbookError(
                f"Expected every answer from {self.judge.endpoint.pinned_model!r}, but the batch "
                f"came from {reply.model!r}; pin a dated model and submit again."
            )
        if key not in self.judge.journal:
            cost = self._price().of_reply(reply)
            run, member = self.judge.run, asked[key]
            self.judge.journal.answer(key, reply, usd=cost, run=run, member=member)
            counts.merged += 1

    def _price(self) -> Price:
        """Half the list price, which is what OpenAI bills for batches."""
        full = self.judge.price or price_of(self.judge.endpoint) or FREE
        return Price(full.input_usd / 2, full.cached_input_usd / 2, full.output_usd / 2)

    def _download(self, file_id: str | None) -> Iterator[dict[str, Any]]:
        if not file_id:
            return
        with self._reader.files.with_streaming_response.content(file_id) as content:
            for line in content.iter_lines():
                if line.strip():
                    yield json.loads(line)

    def _keys(self, part: BatchPart) -> dict[str, str]:
        """The marks of the members by key; batches of earlier versions have keys alone."""
        lines = (self.folder / f"{part.name}.keys").read_text().splitlines()
        return {key: mark for key, _, mark in (line.partition(" ") for line in lines)}

    def _load(self) -> list[BatchPart]:
        path = self.folder / "batches.json"
        if not path.exists():
            return []
        return [BatchPart(**part) for part in json.loads(path.read_text())["parts"]]

    def _save(self) -> None:
        state = {"parts": [vars(part) for part in self.parts]}
        write_json(self.folder / "batches.json", state, mode=0o600)
