"""How steps ask a judge: the same client and payment journal for an LLM and the embedded model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from prefect.blocks.system import Secret

from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.labeling.address import OPENAI, gets_key
from tasks.core.labeling.embedded_judge import (
    embedded_endpoint,
    query_and_member,
    serve_embedded_judge,
)
from tasks.core.labeling.embedded_model import EmbeddedModel
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import Judge, by_pair
from tasks.core.labeling.outgoing import outgoing_document, outgoing_member
from tasks.core.labeling.prompts import LabelRequest, Prompt
from tasks.core.labeling.replies import Judgment
from tasks.core.policies.parse import parse_policy
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.store.artifacts import Artifact, store_root
from tasks.core.tables import Row
from tasks.core.training.base_models import BaseModel
from tasks.exchange import EMBEDDED_JUDGE, POLICY, Domain
from tasks.llm_judge import remote_endpoint, stated_price
from tasks.run import current_run
from tasks.settings import BaseModelSettings, JudgeSettings

MODEL, PROMPT = "embedded_model.json", "prompt.json"


@contextmanager
def open_judge(
    domain: Domain, judge: Artifact, encoder: BaseModelSettings, settings: JudgeSettings
) -> Iterator[Judge]:
    """The judge that the settings name, bound to its endpoint and to the payment journal."""
    if settings.kind == "endpoint":
        with open_llm(domain, settings, run=judge.digest[:16]) as llm:
            yield llm.with_prompt(_prompt(judge))
        return
    with (
        _served(judge, encoder) as (endpoint, key),
        Journal(labels_folder() / "journal.jsonl") as journal,
    ):
        policy = parse_policy(domain.policy.file(POLICY))
        yield Judge(policy, endpoint, journal, key=key, run=judge.digest[:16])


@contextmanager
def open_llm(domain: Domain, settings: JudgeSettings, *, run: str) -> Iterator[Judge]:
    """An LLM with the plain prompt; ``run`` is the name that its budget is kept under."""
    with Journal(labels_folder() / "journal.jsonl") as journal:
        yield Judge(
            policy=parse_policy(domain.policy.file(POLICY)),
            endpoint=remote_endpoint(settings),
            journal=journal,
            key=_key_in_block(settings),
            price=stated_price(settings),
            budget_usd=settings.budget_usd,
            run=run,
        )


def labels_folder() -> Path:
    """Where the payment journal lies; its answers quote members, so it is its owner's alone."""
    folder = store_root() / current_run().domain / "labels"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@contextmanager
def _served(judge: Artifact, encoder: BaseModelSettings) -> Iterator[tuple[Endpoint, str]]:
    """The embedded judge's endpoint and its key, served while the block runs."""
    model = EmbeddedModel.load(judge.file(MODEL), TextEncoder.of(BaseModel(**encoder.model_dump())))
    # The judge is known by what it was made from, so that another one's labels are not reused.
    name = f"{EMBEDDED_JUDGE}-{judge.digest[:12]}"
    served = serve_embedded_judge(
        model.grade_probabilities, model.grade_cuts.tolist(), model_name=name
    )
    with served as (base_url, token):
        yield embedded_endpoint(base_url, model_name=name), token


def _prompt(judge: Artifact) -> Prompt:
    """The prompt that was found best for an LLM."""
    found = judge.json(PROMPT)["prompt"]
    lists = {name: tuple(found[name]) for name in ("examples", "field_order")}
    return Prompt(**(found | lists))


def cheaper_judge(judge: Judge, settings: JudgeSettings) -> Judge:
    """Another endpoint asked by the same policy and prompt, out of the same journal and budget."""
    return replace(
        judge,
        endpoint=remote_endpoint(settings),
        key=_key_in_block(settings),
        price=stated_price(settings),
    )


def _key_in_block(settings: JudgeSettings) -> str | None:
    """The key out of Prefect's own store; None where the environment holds it, or for a server
    that gets none."""
    if settings.api_key_block is None or not gets_key(settings.base_url or OPENAI):
        return None
    try:
        block = Secret.load(settings.api_key_block)
    except ValueError:
        raise CookbookError(
            f"Expected a Prefect Secret block named {settings.api_key_block!r} with the judge's "
            "key, and there is none; make one in Prefect's UI under Blocks, or mend the name."
        ) from None
    assert isinstance(block, Secret)  # loaded outside an event loop, so it is no coroutine
    return str(block.get())


def label_request(catalog: Catalog, row: Row, settings: JudgeSettings) -> LabelRequest:
    """A row's texts as the judge gets them: what may leave the machine, and nothing else."""
    member = catalog.members.get(row["member_id"])
    return LabelRequest(
        pair_id=row["pair_id"],
        query=row["query"],
        member_text=outgoing_member(member) if member else "",
        document_text=outgoing_document(
            catalog.documents[row["doc_id"]], allowed=settings.sent_attributes
        ),
        member_id=row["member_id"] or "",
    )


def golden_pair(catalog: Catalog, row: Row, settings: JudgeSettings) -> tuple[str, str]:
    """The two texts of a pair as the embedded judge gets them out of a request."""
    request = label_request(catalog, row, settings)
    return query_and_member(request.query, request.member_text), request.document_text


def relevances(
    domain: Domain,
    judge: Artifact,
    encoder: BaseModelSettings,
    settings: JudgeSettings,
    requests: Sequence[LabelRequest],
) -> list[float]:
    """The judge's relevance of each text, 0 to 1; NaN where there was no usable answer.

    What only measures is left out where it is not answered, however much that is.
    """
    with open_judge(domain, judge, encoder, settings) as asked:
        found = by_pair(asked.label(requests, max_quarantine_share=1.0))
        highest = len(asked.policy.grades) - 1
    return [_relevance(found.get(one.pair_id), highest) for one in requests]


def _relevance(judgment: Judgment | None, highest: int) -> float:
    """Expected grade, 0 to 1, where the judge gives probabilities: it moves where a grade stays."""
    if judgment is None:
        return float("nan")
    odds = judgment.grade_probabilities
    expected = judgment.grade if odds is None else float(np.arange(len(odds)) @ np.array(odds))
    return expected / highest
