"""The stage in which a causal model learns to write the judge's reason, then the grade."""

import numpy as np
import pytest
import torch

from tasks.core.errors import CookbookError
from tasks.core.inputs import PairText
from tasks.core.training.base_models import (
    BaseModel,
    LanguageModel,
    causal_scorer,
    grade_tokens,
    language_model,
)
from tasks.core.training.loop import Optimization
from tasks.core.training.rationales import (
    ASKED,
    WritingForward,
    learn_rationales,
    reason_tokens,
)
from tasks.core.training.scorer import Outputs
from tasks.core.training.teachers import Lora
from tests.core.training.tiny import pairs_of, tiny_scorer

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
BASE = BaseModel("random_decoder", "tiny")
TEMPLATE = tiny_scorer("random_decoder").template
PAIRS = [PairText("nurse", "nurse, nights"), PairText("nurse", "pilot"), PairText("tutor", "tutor")]
REASONS = ["same job", "no nurse", ""]
GRADES = np.array([2, 0, 1])


def lively_writer() -> LanguageModel:
    """Weights ten times as large as fresh ones, which hardly tell texts apart."""
    writer = language_model(BASE, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in writer.model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.2, generator=generator)
    return writer


def learn(writer: LanguageModel, *, lora: Lora | None = None, epochs: float = 150) -> None:
    settings = Optimization(epochs=epochs, learning_rate=3e-3, head_learning_rate=3e-3)
    learn_rationales(writer, TEMPLATE, PAIRS, REASONS, GRADES, settings, lora=lora)


def test_the_log_probability_is_plain_transformers_own() -> None:
    """Rows of unlike lengths, two of which share their beginning."""
    writer = lively_writer()
    pairs = [*pairs_of(4), pairs_of(4)[0]]
    reasons = ["it fits", "no", "a far longer reason", "yes", "another reason"]
    tokens = reason_tokens(writer.tokenizer, TEMPLATE, pairs, reasons, np.array([0, 1, 2, 1, 2]))
    forward, rows = WritingForward(writer.model.eval(), writer.tokenizer), np.arange(5)
    with torch.inference_mode():
        with forward.attention():
            found = forward(forward.batch(tokens, rows, torch.device("cpu")))
        for row, begin, value in zip(tokens.token_ids, tokens.left_lengths, found, strict=True):
            ids = torch.from_numpy(row.astype(np.int64))
            logs = torch.log_softmax(writer.model(ids[None]).logits[0], dim=1)
            own = [float(logs[place - 1, ids[place]]) for place in range(int(begin), len(ids))]
            assert float(value) == pytest.approx(np.mean(own), abs=1e-4)


def test_what_is_to_be_written_is_the_reason_then_the_question_and_the_grade() -> None:
    tokenizer = language_model(BASE, seed=0).tokenizer
    tokens = reason_tokens(tokenizer, TEMPLATE, PAIRS[:1], ["same job"], np.array([2]))
    (row,), (begin,) = tokens.token_ids, tokens.left_lengths
    assert tokenizer.decode(row[:begin]) == f"Q: nurse\nnurse, nights{ASKED}"
    assert tokenizer.decode(row[begin:]) == f"same job{TEMPLATE.suffix}2"


@pytest.mark.parametrize("lora", [None, Lora(rank=8, alpha=32)])
def test_it_writes_the_reasons_and_grades_it_was_taught(lora: Lora | None) -> None:
    """Greedily, token by token; the pair without a reason taught nothing."""
    writer = lively_writer()
    learn(writer, lora=lora)
    for pair, reason, grade in zip(PAIRS[:2], REASONS, GRADES, strict=False):
        asked = f"Q: {pair.left}\n{pair.right}{ASKED}"
        expected = f"{reason}{TEMPLATE.suffix}{grade}"
        prompt = writer.tokenizer(asked, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            for _ in expected:
                best = writer.model.eval()(prompt).logits[0, -1].argmax()
                prompt = torch.cat([prompt, best[None, None]], dim=1)
        assert writer.tokenizer.decode(prompt[0]) == asked + expected


def test_the_scorer_begins_as_the_model_that_learned() -> None:
    """Its grade logits are the language model's own, of after the stage."""
    writer = lively_writer()
    before = causal_scorer(BASE, writer, Outputs(3), TEMPLATE).logits(PAIRS)
    learn(writer, lora=Lora(rank=8, alpha=32), epochs=3)
    scorer = causal_scorer(BASE, writer, Outputs(3), TEMPLATE)
    digits = grade_tokens(writer.tokenizer, Outputs(3))
    for ids, logits in zip(scorer.tokenize(PAIRS).token_ids, scorer.logits(PAIRS), strict=True):
        with torch.inference_mode():
            own = writer.model.eval()(torch.from_numpy(ids.astype(np.int64))[None]).logits[0, -1]
        np.testing.assert_allclose(logits, own[digits].numpy(), atol=1e-5)
    assert np.abs(scorer.logits(PAIRS) - before).max() > 1e-2


def test_without_any_reason_there_is_nothing_to_learn() -> None:
    with pytest.raises(CookbookError, match="gives reasons"):
        learn_rationales(
            language_model(BASE, seed=0),
            TEMPLATE,
            PAIRS,
            ["", "", ""],
            GRADES,
            Optimization(epochs=1, learning_rate=1e-3, head_learning_rate=1e-3),
            lora=None,
        )


def test_an_encoder_cannot_write() -> None:
    with pytest.raises(CookbookError, match="causal"):
        language_model(BaseModel("random_encoder", "tiny"), seed=0)
