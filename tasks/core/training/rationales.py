"""Before the policy teacher: a causal model learns to write the judge's reason, then the grade.

A grade is one token of signal; the reason says which of the pair's words decided it. What was
learned stays in the layers; the scorer made of the model afterwards reads no reason.

Source: rationales as an additional task, Hsieh et al., arXiv 2305.02301.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from tasks.core.errors import CookbookError
from tasks.core.inputs import InputTemplate, PairText
from tasks.core.training.architecture import freeze_embeddings, plain_model, with_lora
from tasks.core.training.language_model import LanguageModel
from tasks.core.training.loop import (
    Examples,
    Optimization,
    Progress,
    Targets,
    TrainingReport,
    train,
)
from tasks.core.training.passes import Batch, Forward
from tasks.core.training.processes import shared_out
from tasks.core.training.shared_prefix import PackedBatch
from tasks.core.training.teachers import Lora
from tasks.core.training.token_store import stored
from tasks.core.training.tokens import Tokenized, tokenize

ASKED = "\nReason: "
# A reason is a sentence or two; what is longer is cut.
LONGEST_REASON = 96


@shared_out
def learn_rationales(
    writer: LanguageModel,
    template: InputTemplate,
    pairs: Sequence[PairText],
    reasons: Sequence[str],
    grades: npt.NDArray[np.int64],
    optimization: Optimization,
    *,
    lora: Lora | None,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
) -> TrainingReport:
    """Learn in place to write each pair's reason and then, as the template asks, its grade.

    Pairs without a reason are left out.

    Raises:
        CookbookError: no pair has a reason.
    """
    kept = [number for number, reason in enumerate(reasons) if reason]
    if not kept:
        raise CookbookError(
            "The rationale stage learns the judge's reasons, and no label has one. Label with a "
            "judge that gives reasons, or set policy_teacher.rationale to null."
        )
    encode = partial(
        reason_tokens,
        writer.tokenizer,
        template,
        [pairs[number] for number in kept],
        [reasons[number] for number in kept],
        grades[kept],
    )
    torch.manual_seed(optimization.seed)
    if lora is None:
        freeze_embeddings(writer.model)
    else:
        writer.model = with_lora(writer.model, rank=lora.rank, alpha=lora.alpha)  # type: ignore[assignment]
    report = train(
        writer,
        Examples(stored(encode, checkpoints), np.arange(len(kept)), {}),
        _surprise,
        optimization,
        checkpoints=checkpoints,
        progress=progress,
        forward_class=WritingForward,
    )
    if lora is not None:
        writer.model = writer.model.merge_and_unload()  # type: ignore[operator]
    return report


def reason_tokens(
    tokenizer: PreTrainedTokenizerBase,
    template: InputTemplate,
    pairs: Sequence[PairText],
    reasons: Sequence[str],
    grades: npt.NDArray[np.int64],
) -> Tokenized:
    """Rows that begin with the pair and go on with what is to be written; nothing but that counts.

    ``prefix left right``, then ``Reason: ``; to be written: the reason, the template's suffix,
    which asks for the grade, and the grade.
    """
    asked = tokenize(tokenizer, replace(template, suffix=ASKED), pairs)
    written: list[list[int]] = tokenizer(list(reasons), add_special_tokens=False)["input_ids"]
    ends: list[list[int]] = tokenizer(
        [f"{template.suffix}{grade}" for grade in grades], add_special_tokens=False
    )["input_ids"]
    rows = [
        np.array([*begin, *reason[:LONGEST_REASON], *end], dtype=np.int32)
        for begin, reason, end in zip(asked.token_ids, written, ends, strict=True)
    ]
    return Tokenized(rows, asked.lengths, segmented=False)


class WritingForward(Forward):
    """As ``Forward``, of a language model: each row's mean log-probability per token, (rows, 1).

    Of the tokens behind the row's beginning alone: the product with the vocabulary is made for
    these, and not for the pair.
    """

    def forward(self, batch: Batch) -> Tensor:
        assert isinstance(batch, PackedBatch)
        plain = plain_model(self.model)
        hidden = plain.base_model(
            batch.token_ids, position_ids=batch.positions, use_cache=False, layout=batch.layout
        ).last_hidden_state[0]
        # A token is foretold by the one before it, the first by the end of the row's beginning.
        lengths = batch.last - batch.first + 1
        begins = lengths.cumsum(0) - lengths
        owner = torch.repeat_interleave(lengths)
        written = (batch.first - begins)[owner] + torch.arange(len(owner), device=hidden.device)
        before = (written - 1).index_copy(0, begins, batch.before)
        head = plain.get_output_embeddings()  # type: ignore[no-untyped-call]
        surprise = F.cross_entropy(
            head(hidden[before]).float(), batch.token_ids[0, written], reduction="none"
        )
        total = torch.zeros(len(lengths), device=surprise.device).index_add(0, owner, surprise)
        return -(total / lengths)[:, None]


def _surprise(log_probabilities: Tensor, _: Targets) -> Tensor:
    return -log_probabilities.mean()
