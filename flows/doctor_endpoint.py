"""What `cookbook doctor` says of the LLM that would grade: its models, and a chat of one token."""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from flows.findings import Finding, State
from flows.profiles import PROFILES, changed
from tasks.core.errors import CookbookError
from tasks.core.labeling.address import ADDRESS_VARIABLE, OPENAI
from tasks.core.labeling.endpoint import Endpoint, api_key
from tasks.judge_settings import JudgeSettings
from tasks.llm_judge import remote_endpoint

SUBJECT = "LLM endpoint"
KEY_VARIABLE = "OPENAI_API_KEY"
TIMEOUT_S = 20
Asked = dict[str, tuple[JudgeSettings, list[str]]]
# What an address raises that is away, or answers what is no HTTP or no JSON.
FAILURES = (OSError, http.client.HTTPException, ValueError)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key would go along, to a host that the rules never saw."""

    def redirect_request(self, *_: object) -> None: ...


_OPENER = urllib.request.build_opener(_Stay)


def endpoint_findings(*, ask: bool) -> Iterator[Finding]:
    """Each address at which a profile's judge would be asked; ``ask``: it is, for one token."""
    addresses = _judges_by_address()
    if not addresses:
        seen = f"neither {KEY_VARIABLE} nor {ADDRESS_VARIABLE} is set: the embedded judge labels"
        yield Finding("note", SUBJECT, seen, "docs/llm.md says how an LLM takes its place.")
    for address, judges in addresses.items():
        if ask:
            yield from _asked(address, judges)
            continue
        known = "key set" if os.environ.get(KEY_VARIABLE) else "no key"
        seen = (
            f"{address}, {known}, not asked (--ask); `cookbook plan` says who labels and the cost"
        )
        yield Finding("good", SUBJECT, seen)


def _judges_by_address() -> dict[str, Asked]:
    """Judges by address and model, with the profiles that name them; none where none is set up."""
    shared = os.environ.get(ADDRESS_VARIABLE, "").strip()
    if not shared and os.environ.get(KEY_VARIABLE, "").strip():
        shared = OPENAI
    found: dict[str, Asked] = {}
    for name, profile in PROFILES.items():
        settings = profile()
        for judge in (settings.judge, *settings.labels.cheap_judges):
            address = judge.base_url or shared
            if judge.kind == "embedded" or not address:
                continue
            _, names = found.setdefault(address, {}).setdefault(judge.model, (judge, []))
            names.append(name)
    return found


def _asked(address: str, judges: Asked) -> Iterator[Finding]:
    """Whether the address lists and runs the models; one that answers is enough for it to do."""
    try:
        known = {model: _known(address, judge) for model, (judge, _) in judges.items()}
        endpoint, key = next(iter(known.values()))
        listed = _listed(endpoint, key)
    except CookbookError as error:
        yield Finding("bad", SUBJECT, str(error), "See docs/llm.md, `Where the key may go`.")
        return
    except (*FAILURES, KeyError, TypeError) as error:
        seen = f"{address}: its list of models fails: {_why(error)}"
        yield Finding("bad", SUBJECT, seen, "Check the address, which ends in /v1, and the key.")
        return
    failures = {model: _chat_fails(*one) for model, one in known.items()}
    # Which profile will run nobody says here: a shipped one may well name a model of OpenAI's.
    worst: State = "bad" if all(failures.values()) else "note"
    for model, failure in failures.items():
        who = f"{model} ({', '.join(judges[model][1])})"
        if not failure:
            unlisted = "" if model in listed else ", which its list of models lacks,"
            yield Finding("good", SUBJECT, f"{address}: {who}{unlisted} answers")
        elif model in listed:
            seen = f"{address}: {who} is listed, but a chat of one token fails: {failure}"
            yield Finding(worst, SUBJECT, seen, "Check quota, rights of the key, and `answers`.")
        else:
            seen = f"{address}: {who} is not among its models ({_few(listed)}): {failure}"
            yield Finding(worst, SUBJECT, seen, "Name one of them in `judge.model` of a profile.")


def _known(address: str, judge: JudgeSettings) -> tuple[Endpoint, str]:
    """Where the judge is asked and with which key, by the rules that a run keeps to."""
    if judge.api_key_block:
        raise CookbookError(
            f"{address}: its key is in the Prefect block {judge.api_key_block}, which the doctor "
            f"does not open; it asks with a key in {judge.api_key_variable} alone."
        )
    endpoint = remote_endpoint(changed(judge, base_url=address))
    return endpoint, api_key(endpoint)


def _listed(endpoint: Endpoint, key: str) -> list[str]:
    return [str(one["id"]) for one in _answer(endpoint, key, "models")["data"]]


def _chat_fails(endpoint: Endpoint, key: str) -> str:
    """Why a chat of one token does not come about; empty if it does."""
    question = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": "Say yes."}],
        endpoint.output_limit_field: 1,
    }
    try:
        answer = _answer(endpoint, key, "chat/completions", question)
    except FAILURES as error:
        return _why(error)
    has_choices = isinstance(answer, dict) and answer.get("choices")
    return "" if has_choices else "its answer holds no choices"


def _answer(
    endpoint: Endpoint, key: str, path: str, question: Mapping[str, Any] | None = None
) -> Any:
    request = urllib.request.Request(
        f"{endpoint.base_url.rstrip('/')}/{path}",
        None if question is None else json.dumps(question).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def _why(error: Exception) -> str:
    """The status, or what went wrong; never the body, which may repeat a part of the key."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        redirects = 300 <= error.code < 400
        refused = ", a redirect, which is not followed: the key would go along" if redirects else ""
        return f"HTTP {error.code}{refused}"
    # The line that is no status may repeat the key too.
    if isinstance(error, http.client.HTTPException):
        return "the answer is no whole answer of a web server"
    return str(error) if isinstance(error, OSError) else "the answer is not what OpenAI's API gives"


def _few(models: list[str]) -> str:
    return ", ".join([*models[:5], *(["..."] if len(models) > 5 else [])]) or "none"
