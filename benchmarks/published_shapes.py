"""The shapes of the published models, to build with random weights; and tiny ones to try out."""

from dataclasses import dataclass

from transformers import PreTrainedConfig, Qwen2Config, Qwen3Config


@dataclass(frozen=True)
class Shape:
    """A model's shape, and how it is trained here."""

    name: str
    config: PreTrainedConfig
    lora: bool


def by_name() -> dict[str, PreTrainedConfig]:
    """The models that run profiles name, from their published config.json files."""
    seven = Qwen2Config(
        vocab_size=152_064,
        hidden_size=3584,
        intermediate_size=18_944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    )
    return {
        "Qwen/Qwen2.5-7B-Instruct": seven,
        "Qwen/Qwen3-1.7B": qwen3(2048, 6144, 28),
        "Qwen/Qwen3-0.6B": qwen3(1024, 3072, 28),
    }


def published() -> list[Shape]:
    """The three, and the smallest without 8 layers and half of each MLP."""
    seven, assistant, student = by_name().values()
    return [
        Shape("qwen2.5-7b", seven, lora=True),
        Shape("qwen3-1.7b", assistant, lora=False),
        Shape("qwen3-0.6b", student, lora=False),
        Shape("student-375.8m", qwen3(1024, 1536, 20), lora=False),
    ]


def tiny() -> list[Shape]:
    """The same families in miniature, to try the benchmark where there is no accelerator."""
    small = Qwen2Config(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return [
        Shape("qwen2.5-7b", small, lora=True),
        Shape("student-375.8m", qwen3(64, 96, 2, vocabulary=512, heads=(4, 2), width=16), False),
    ]


def qwen3(
    hidden: int,
    intermediate: int,
    layers: int,
    *,
    vocabulary: int = 151_936,
    heads: tuple[int, int] = (16, 8),
    width: int = 128,
) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads[0],
        num_key_value_heads=heads[1],
        head_dim=width,
        tie_word_embeddings=True,
    )


def linear_weights(config: PreTrainedConfig) -> int:
    """Weights of all matrices in the layers: what a token is multiplied with."""
    hidden, inner = config.hidden_size, config.intermediate_size
    width = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    queries, keys = config.num_attention_heads * width, config.num_key_value_heads * width
    layer = 2 * hidden * queries + 2 * hidden * keys + 3 * hidden * inner
    return int(config.num_hidden_layers * layer)


def training_flops(shape: Shape, lengths: list[int]) -> float:
    """Useful operations of one step over whole rows: forward, and back to inputs and weights.

    Two a weight and token each, but no product for the gradients of weights under adapters. Causal
    attention, half of its square, has no weights: back it costs twice what it does forward.
    """
    config = shape.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = 2 * config.num_hidden_layers * config.num_attention_heads * width
    dense = 2.0 * linear_weights(config) * sum(lengths)
    passes = 2 if shape.lora else 3
    return passes * dense + 3 * attention * float(sum(length**2 for length in lengths))
