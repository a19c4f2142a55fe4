"""Scoring by the first token: the plain model's logits, and the model as it was afterwards."""

import numpy as np
import pytest
import torch

from tasks.core.training.architecture import layers, with_lora
from tasks.core.training.first_token import reading_first_tokens
from tasks.core.training.passes import Forward
from tests.core.training.tiny import lively_scorer, pairs_of

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
CPU = torch.device("cpu")


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("count", [9, 1])  # one row alone has no padding, and so no mask
def test_logits_are_those_of_the_whole_last_layer(attention: str, lora: bool, count: int) -> None:
    scorer = lively_scorer("random_encoder")
    scorer.model.set_attn_implementation(attention)
    model = with_lora(scorer.model, rank=2, alpha=4) if lora else scorer.model
    model.train(False)
    if lora:
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.normal_(std=0.2)
    tokens = scorer.tokenize(pairs_of(count))
    batch = Forward(model, scorer.tokenizer).batch(tokens, np.arange(count), CPU)
    assert isinstance(batch, dict)
    with torch.inference_mode():
        whole = model(**batch).logits
        with reading_first_tokens(model):
            read = model(**batch)
        after = model(**batch).logits
    torch.testing.assert_close(read.logits, whole, atol=1e-5, rtol=0)
    assert torch.equal(after, whole)
    assert count == 1 or np.ptp(whole.numpy(), axis=0).min() > 1e-2  # rows differ


def test_the_last_layer_computes_one_token_of_each_row() -> None:
    scorer = lively_scorer("random_encoder")
    computed: list[torch.Size] = []
    last = layers(scorer.model)[-1].get_submodule("output")
    last.register_forward_hook(lambda _, __, output: computed.append(output.shape[:2]))
    tokens, forward = scorer.tokenize(pairs_of(4)), Forward(scorer.model, scorer.tokenizer)
    for training in (False, True):
        scorer.model.train(training)
        with forward.attention():
            forward(forward.batch(tokens, np.arange(4), CPU))
    assert computed == [(4, 1)] * 2
