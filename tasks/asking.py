"""How steps ask a judge: the same client and payment journal for an LLM and the embedded model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tasks.core.domain.catalog import Catalog
from tasks.core.labeling.client import LabelRun
from tasks.core.labeling.embedded_judge import (
    embedded_endpoint,
    query_and_member,
    serve_embedded_judge,
)
from tasks.core.labeling.embedded_model import EmbeddedModel
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.policies.parse import parse_policy
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.store.artifacts import Artifact, store_root
from tasks.core.tables import Row
from tasks.core.training.base_models import BaseModel
from tasks.exchange import POLICY, Domain
from tasks.run import current_run
from tasks.settings import BaseModelSettings, JudgeSettings

MODEL = "embedded_model.json"
OPENAI = "https://api.openai.com/v1"
# Per minute; the endpoint's own refusals (429) are heeded all the same.
NO_LIMIT = 1e9


def ask_judge(
    domain: Domain,
    judge: Artifact,
    encoder: BaseModelSettings,
    settings: JudgeSettings,
    rows: Sequence[Row],
) -> LabelRun:
    """Grades of rows (query, member_id, doc_id) from the judge, through the payment journal."""
    catalog = Catalog.load(domain.catalog.folder)
    run = current_run()
    with open_judge(domain, judge, encoder, settings) as asked:
        return asked.label(
            (label_request(catalog, row) for row in rows),
            max_quarantine_share=settings.max_quarantine_share,
            on_progress=lambda seen: run.progress("judgments", seen.finished, len(rows)),
        )


@contextmanager
def open_judge(
    domain: Domain, judge: Artifact, encoder: BaseModelSettings, settings: JudgeSettings
) -> Iterator[Judge]:
    """The judge that the settings name, bound to its endpoint and to the payment journal."""
    with (
        _endpoint(judge, encoder, settings) as (endpoint, key),
        Journal(labels_folder() / "journal.jsonl") as journal,
    ):
        yield Judge(
            policy=parse_policy(domain.policy.file(POLICY)),
            endpoint=endpoint,
            journal=journal,
            key=key,
            budget_usd=settings.budget_usd,
            run=judge.digest[:16],
        )


def labels_folder() -> Path:
    """Where the payment journal lies; its answers quote members, so it is its owner's alone."""
    folder = store_root() / current_run().domain / "labels"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@contextmanager
def _endpoint(
    judge: Artifact, encoder: BaseModelSettings, settings: JudgeSettings
) -> Iterator[tuple[Endpoint, str | None]]:
    """The endpoint to ask and its key; the embedded one is served while the block runs."""
    if settings.kind == "endpoint":
        yield _remote(settings), None
        return
    model = EmbeddedModel.load(judge.file(MODEL), TextEncoder.of(BaseModel(**encoder.model_dump())))
    # The judge is known by what it was made from, so that another one's labels are not reused.
    name = f"{settings.model}-{judge.digest[:12]}"
    with serve_embedded_judge(model.grade_probabilities, model_name=name) as (base_url, token):
        yield embedded_endpoint(base_url, model_name=name), token


def _remote(settings: JudgeSettings) -> Endpoint:
    return Endpoint(
        base_url=settings.base_url or OPENAI,
        model=settings.model,
        api_key_env=settings.api_key_variable,
        concurrency=settings.concurrency,
        timeout_s=settings.timeout_s,
        requests_per_minute=float(settings.requests_per_minute or NO_LIMIT),
        tokens_per_minute=float(settings.tokens_per_minute or NO_LIMIT),
    )


def label_request(catalog: Catalog, row: Row) -> LabelRequest:
    """A row's texts as the judge gets them."""
    return LabelRequest(
        pair_id=row["pair_id"],
        query=row["query"],
        member_text=catalog.member_text(row["member_id"]),
        document_text=catalog.judged_text(row["doc_id"]),
    )


def golden_pair(catalog: Catalog, row: Row) -> tuple[str, str]:
    """The two texts of a pair as the embedded judge gets them out of a request."""
    request = label_request(catalog, row)
    return query_and_member(request.query, request.member_text), request.document_text
