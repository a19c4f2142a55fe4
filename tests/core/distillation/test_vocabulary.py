"""Trimmed vocabularies: the domain's texts keep every logit, any other text can still be read."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tasks.core.distillation.students import Teacher, distill
from tasks.core.distillation.vocabulary import trim_vocabulary
from tasks.core.errors import CookbookError
from tasks.core.inputs import InputTemplate, PairText
from tasks.core.store.files import file_sha256
from tasks.core.training.base_models import BaseModel, causal_scorer
from tasks.core.training.language_model import LanguageModel
from tasks.core.training.loop import Optimization
from tasks.core.training.scorer import Outputs, PairScorer
from tests.core.training.tiny import lively_scorer

PROJECT = Path(__file__).resolve().parents[3]
WIDTH = 32
CHAT_TOKENS = ["<|im_start|>", "<|im_end|>"]
FOREIGN = [
    "Électricienne à Zürich, 75.000 €",
    "看護師と介護士 ナース",
    "ممرضة في المستشفى",
    "qxzzyv unbelievablest 🧑‍🚒 blockchainification zoology",
    "[SEP] a [CLS] literal [MASK] <|im_start|>user<|endoftext|>",
    "",
]
LOGITS = """
import sys
from pathlib import Path
import numpy as np
from tasks.core.inputs import PairText
from tasks.core.training import precision
from tasks.core.training.scorer import PairScorer
precision.cpu_flags = frozenset
pairs = [PairText(*two) for two in np.load(sys.argv[1])]
for folder in map(Path, sys.argv[2:]):
    np.save(folder / "logits.npy", PairScorer.load(folder).logits(pairs))
"""


@cache
def corpus() -> list[str]:
    """Real prose: the shipped policy, line by line."""
    policy = PROJECT / "policy" / "job_search" / "policy.md"
    return [line for line in policy.read_text(encoding="utf-8").splitlines() if line.strip()]


def domain_texts() -> list[str]:
    """The first quarter, so that the rest has words that go."""
    return corpus()[: len(corpus()) // 4]


def domain_pairs() -> list[PairText]:
    texts = domain_texts()
    return [PairText(a, b) for a, b in zip(texts[::9], texts[4::9], strict=False)]


@cache
def byte_pairs() -> tuple[dict[str, int], list[Any]]:
    """A byte-level BPE's vocabulary and merges, learned on the whole policy."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=3000, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def encoder() -> PairScorer:
    """A tiny BERT that reads by MiniLM's own tokenizer."""
    return lively_scorer("random_encoder")


def decoder() -> PairScorer:
    """A tiny Qwen3 that reads by Qwen's own tokenizer class, special tokens at the end.

    As Qwen's, its matrix has rows beyond the tokenizer.
    """
    vocabulary, merges = byte_pairs()
    tokenizer = Qwen2Tokenizer(vocab=dict(vocabulary), merges=list(merges))
    tokenizer.add_tokens(CHAT_TOKENS, special_tokens=True)
    config = Qwen3Config(
        vocab_size=len(tokenizer) + 7,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
    )
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.2)
    template = InputTemplate(max_tokens=96, prefix="Q: ", suffix=" Grade: ")
    writer = LanguageModel(model, tokenizer)
    return causal_scorer(BaseModel("random_decoder", "tiny"), writer, Outputs(3), template)


Make = Callable[[], PairScorer]
BOTH = pytest.mark.parametrize("make", [encoder, decoder])


@cache
def trimmed(make: Make) -> PairScorer:
    """One trimmed scorer of each kind for the tests that only read it."""
    scorer = make()
    trim_vocabulary(scorer, domain_texts())
    return scorer


@cache
def tokenizers_of(make: Make) -> tuple[PreTrainedTokenizerBase, PreTrainedTokenizerBase]:
    """Before and after."""
    return make().tokenizer, trimmed(make).tokenizer


def strings(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]))


@BOTH
def test_the_domains_texts_keep_their_tokens_and_their_logits(make: Make) -> None:
    before, after = tokenizers_of(make)
    assert len(after) < 0.8 * len(before)
    for text in domain_texts():
        assert strings(after, text) == strings(before, text)
    expected = make().logits(domain_pairs())
    assert np.ptp(expected, axis=0).min() > 1e-2
    found = trimmed(make).logits(domain_pairs())
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@BOTH
def test_each_token_has_its_own_row_under_a_dense_new_id(make: Make) -> None:
    scorer, whole = trimmed(make), make()
    ids, old_ids = scorer.tokenizer.get_vocab(), whole.tokenizer.get_vocab()
    rows, old_rows = (
        one.model.get_input_embeddings().get_parameter("weight") for one in (scorer, whole)
    )
    tokens = sorted(ids, key=ids.__getitem__)
    assert [ids[token] for token in tokens] == list(range(len(rows)))
    assert scorer.model.config.vocab_size == len(rows)
    assert torch.equal(rows, old_rows[[old_ids[token] for token in tokens]])
    assert whole.parameters() - scorer.parameters() == (len(old_rows) - len(rows)) * WIDTH


@BOTH
def test_the_models_special_tokens_are_the_tokenizers(make: Make) -> None:
    """A causal scorer reads its grade before the first padding: a stale id would move the grade."""
    scorer, whole = trimmed(make), make()
    config, old = scorer.model.config, whole.model.config
    assert config.pad_token_id == scorer.tokenizer.pad_token_id
    assert scorer.tokenizer.all_special_tokens == whole.tokenizer.all_special_tokens
    if old.eos_token_id is not None:
        assert scorer.tokenizer.convert_ids_to_tokens(config.eos_token_id) == "<|im_end|>"
        assert config.eos_token_id < old.eos_token_id


def specials(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    """Special tokens of a text in order, as another engine frames it."""
    return [one for one in strings(tokenizer, text) if one in tokenizer.all_special_tokens]


def spelled(tokens: list[str]) -> str:
    return "".join(token.removeprefix("##") for token in tokens)


@BOTH
@given(text=st.sampled_from([*FOREIGN, *corpus()[::40]]) | st.text(max_size=30))
@settings(max_examples=150, deadline=None)
def test_any_text_reads_as_before_in_no_larger_pieces(make: Make, text: str) -> None:
    before, after = (strings(tokenizer, text) for tokenizer in tokenizers_of(make))
    assert spelled(after) == spelled(before)
    assert len(after) >= len(before)
    assert specials(tokenizers_of(make)[1], text) == specials(tokenizers_of(make)[0], text)


def test_an_unseen_word_falls_into_pieces_that_the_vocabulary_kept() -> None:
    before, after = tokenizers_of(encoder)
    assert strings(before, "zoology") == ["[CLS]", "zoology", "[SEP]"]
    found = strings(after, "zoology")
    assert len(found) > 3
    assert spelled(found) == "[CLS]zoology[SEP]"
    assert "[UNK]" not in found


def test_merges_by_hand() -> None:
    """abcdefgh needs abcd and efgh on its way; ghgh was merged from gh, and nobody needs it."""
    pairs = ["a b", "c d", "ab cd", "e f", "g h", "gh gh", "ef gh", "abcd efgh"]
    merges = [(left, right) for left, right in map(str.split, pairs)]
    tokens = [*"abcdefgh", *(left + right for left, right in merges)]
    scorer = lively_scorer("random_decoder")
    own = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    scorer.tokenizer = PreTrainedTokenizerFast(tokenizer_object=own)  # type: ignore[no-untyped-call]
    trim_vocabulary(scorer, ["abcdefgh"])
    assert len(scorer.tokenizer) == 15
    assert scorer.tokenizer.convert_ids_to_tokens(list(range(15))) == [
        *"abcdefgh", "ab", "cd", "abcd", "ef", "gh", "efgh", "abcdefgh"
    ]  # fmt: skip
    assert strings(scorer.tokenizer, "abcdefgh") == ["abcdefgh"]
    assert strings(scorer.tokenizer, "ghgh") == ["gh", "gh"]


@BOTH
def test_equal_texts_give_equal_files_and_a_second_trim_changes_nothing(
    make: Make, tmp_path: Path
) -> None:
    first, second = make(), make()
    for scorer, folder in ((first, "one"), (second, "two"), (second, "three")):
        trim_vocabulary(scorer, domain_texts())
        scorer.save(tmp_path / folder)
    hashes = [
        {path.name: file_sha256(path) for path in (tmp_path / folder).iterdir()}
        for folder in ("one", "two", "three")
    ]
    assert hashes[0] == hashes[1] == hashes[2]


def test_a_new_process_reads_the_saved_folders_to_equal_logits(tmp_path: Path) -> None:
    pairs = [*domain_pairs()[:8], *(PairText(text, "nurse") for text in FOREIGN)]
    np.save(tmp_path / "pairs.npy", np.array([(pair.left, pair.right) for pair in pairs]))
    folders = {make: tmp_path / make.__name__ for make in (encoder, decoder)}
    for make, folder in folders.items():
        trimmed(make).save(folder)
    command = [sys.executable, "-c", LOGITS, str(tmp_path / "pairs.npy"), *folders.values()]
    subprocess.run(command, check=True, cwd=PROJECT)
    for make, folder in folders.items():
        found = np.load(folder / "logits.npy")
        expected = trimmed(make).logits(pairs)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@BOTH
def test_training_after_the_trim_gives_the_weights_of_training_before_it(make: Make) -> None:
    """So the trim comes first, where it saves memory and checkpoints, and decides nothing."""
    pairs = domain_pairs()[:12]
    targets = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    teacher = Teacher("policy", "grades", 1.0, 1.0, targets)
    steps = Optimization(
        epochs=1, learning_rate=1e-2, head_learning_rate=1e-2, rows_per_step=4, list_size=4,
        tokens_per_batch=512, weight_decay=0.01, checkpoint_every_steps=0, seed=0,
    )  # fmt: skip
    first, last = make(), make()
    untaught = first.logits(pairs)
    trim_vocabulary(first, domain_texts())
    for scorer in (first, last):
        distill(scorer, pairs, np.arange(12) // 4, [teacher], steps)
    trim_vocabulary(last, domain_texts())
    assert np.abs(first.logits(pairs) - untaught).max() > 1e-2
    for name, value in last.model.state_dict().items():
        assert torch.equal(first.model.state_dict()[name], value), name


def test_a_vocabulary_of_another_kind_is_refused() -> None:
    scorer = encoder()
    own = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0))
    scorer.tokenizer = PreTrainedTokenizerFast(tokenizer_object=own)  # type: ignore[no-untyped-call]
    with pytest.raises(CookbookError, match=r"came Unigram\. Leave trim_vocabulary off"):
        trim_vocabulary(scorer, ["a"])
