"""The judge's own shifts by the edits that make no candidate better."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from tasks.ask_edited import ask_edited
from tasks.asking import MODEL, label_request, open_judge
from tasks.core.biases import BIASES, FILLER, ORDER, edited_texts
from tasks.core.domain.catalog import Catalog
from tasks.core.labeling.embedded_judge import query_and_member
from tasks.core.labeling.embedded_model import (
    LONG_TOKENS,
    WORDS_BESIDE_AN_EDIT,
    EmbeddedModel,
)
from tasks.core.labeling.outgoing import outgoing_document
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.store.artifacts import Artifact
from tasks.core.tables import read_table
from tasks.core.training.base_models import BaseModel, embedded_folder
from tasks.exchange import JUDGE_SHIFTS, golden_rows, rows_to_edit
from tasks.ingest import ingest
from tasks.judge import prepare_judge
from tasks.run import current_run, open_run
from tasks.settings import EvaluationSettings, GoldenSettings, JudgeSettings
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint
from tests.job_search_judge import answer_of
from tests.test_judge import CHECKS, TINY, Place, each, plain
from tests.test_judge import place as place

PAIRS = 12
EVALUATION = EvaluationSettings(bias_pairs=PAIRS)


def shifts(edited: Artifact | None) -> Mapping[str, Any]:
    assert edited is not None
    table = read_table(edited.file(JUDGE_SHIFTS))
    return {bias: np.array(table[bias], dtype=np.float64) for bias in BIASES}


def test_an_obedient_llm_shifts_by_orders_alone_and_pays_for_the_edited_texts_alone(
    place: Place,
) -> None:
    usual = place.tables.any_decision()

    def obedient(call: Call) -> Answer:
        grade = 4 if ORDER.strip() in call.pair["document"] else 1
        return Answer(answer_of(each(usual, lambda _: grade)))

    with (
        ScriptedEndpoint(obedient, model="obedient") as server,
        open_run(place.store, "job_search"),
    ):
        settings = JudgeSettings(
            kind="endpoint", model="obedient", base_url=server.base_url, checks=CHECKS
        )
        data = plain(ingest)("job_search", place.root, GoldenSettings())
        judge = plain(prepare_judge)(data, TINY, settings)
        catalog = Catalog.load(data.catalog.folder)
        rows = rows_to_edit(data, PAIRS)
        with open_judge(data, judge, TINY, settings) as asked:  # the gate asks about them before
            asked.label([label_request(catalog, row, settings) for row in rows])
        assert server.call_count == len(rows) == PAIRS
        found = shifts(plain(ask_edited)(data, judge, TINY, settings, EVALUATION))
        assert server.call_count == PAIRS * (1 + len(BIASES))
    low = place.policy.aggregate({one.id: 1 for one in place.policy.dimensions})
    assert found["injected_instruction"] == pytest.approx(np.full(PAIRS, (4 - low) / 4))
    assert not found["length"].any()
    assert not found["keyword_stuffing"].any()


def test_the_embedded_judges_shifts_are_its_models_own(place: Place) -> None:
    settings = JudgeSettings(kind="embedded")
    with open_run(place.store, "job_search"):
        data = plain(ingest)("job_search", place.root, GoldenSettings())
        judge = plain(prepare_judge)(data, TINY, settings)
        found = shifts(plain(ask_edited)(data, judge, TINY, settings, EVALUATION))
        catalog = Catalog.load(data.catalog.folder)
        model = EmbeddedModel.load(
            judge.file(MODEL), TextEncoder.of(BaseModel(**TINY.model_dump()))
        )
        rows = rows_to_edit(data, PAIRS)
    edits = {"length": lambda _: FILLER, "injected_instruction": lambda _: ORDER}
    edits["keyword_stuffing"] = lambda query: f"{query} {query} {query} "

    def relevances(edit: Any) -> Any:
        pairs = []
        for row in rows:
            asker = query_and_member(row["query"], catalog.members[row["member_id"]]["text"])
            title, text = outgoing_document(catalog.documents[row["doc_id"]]).split(" | ", 1)
            read = " ".join(text.split()[:WORDS_BESIDE_AN_EDIT])
            pairs.append((asker, f"{title} | {edit(row['query'])}{read}"))
        return model.grade_probabilities(pairs) @ np.arange(5) / 4

    for bias in BIASES:
        expected = relevances(edits[bias]) - relevances(lambda _: "")
        assert np.abs(expected).max() > 1e-3
        assert found[bias] == pytest.approx(expected, abs=2e-3)


def test_the_embedded_judge_reads_every_edit_and_all_that_is_left_of_the_candidate(
    place: Place,
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(embedded_folder())
    with open_run(place.store, "job_search"):
        data = plain(ingest)("job_search", place.root, GoldenSettings())
    query = max((row["query"] for row in golden_rows(data, "gate")), key=len)
    texts = [
        text
        for row in Catalog.load(data.catalog.folder).documents.values()
        for text in edited_texts(
            outgoing_document(row), query, most_words=WORDS_BESIDE_AN_EDIT
        ).values()
    ]
    lengths = [len(ids) for ids in tokenizer(texts, verbose=False)["input_ids"]]
    assert max(lengths) <= LONG_TOKENS


def test_whom_the_settings_leave_unasked_costs_nothing(place: Place) -> None:
    silent = EvaluationSettings(bias_pairs=PAIRS, judge_biases=False)
    with open_run(place.store, "job_search"):
        found = plain(ask_edited)(None, None, TINY, JudgeSettings(kind="endpoint"), silent)
        assert found is None
        assert "biases of the judge" in {one["step"] for one in current_run().skipped}
