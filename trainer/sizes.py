"""How large a model is and what it costs, by arithmetic alone: no torch, no weights.

sizes = sizes_of_config(parse_config("pretrain", {"data_path": "dataset/pretrain.jsonl"}))
parameters(sizes)                      # 63_912_192 for the default preset
flops_per_token(sizes, 340)            # forward and backward
"""

from dataclasses import dataclass
from typing import Any

from trainer.configs import TrainConfig

VOCAB_SIZE = 6400
"""Entries of MiniMind's tokenizers."""
BYTES_PER_PARAMETER = 12
"""Of a checkpoint: the weight and AdamW's two moments, each in float32."""
CHECKPOINT_EXTRA_BYTES = 1_500_000
"""Of a checkpoint, beside the tensors: tokenizer, states of the random generators, manifest."""


@dataclass(frozen=True)
class ModelSizes:
    """What the size of a decoder-only model depends on."""

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int = VOCAB_SIZE
    experts: int = 0
    """Experts a layer; 0 for a dense model."""
    experts_per_token: int = 0
    qk_norm: bool = True
    """Norms on queries and keys: Qwen3 and MiniMind v3 have them, Llama and MiniMind v2 do not."""
    attention_bias: bool = False
    tied: bool = True
    """Whether the output layer is the embedding, which then counts once."""


def sizes_of_config(config: TrainConfig, vocab_size: int = VOCAB_SIZE) -> ModelSizes:
    """The sizes of a model that these settings build from nothing."""
    return ModelSizes(
        hidden_size=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        intermediate_size=config.feed_forward_size,
        vocab_size=vocab_size,
        experts=config.num_experts if config.use_moe else 0,
        experts_per_token=config.num_experts_per_tok if config.use_moe else 0,
        qk_norm=config.architecture == "v3",
    )


def sizes_of_folder(hf_config: dict[str, Any]) -> ModelSizes:
    """The sizes in the `config.json` of a Hugging Face folder.

    Raises:
        KeyError, TypeError, ValueError: it does not describe a model of this kind.
    """
    hidden, heads = int(hf_config["hidden_size"]), int(hf_config["num_attention_heads"])
    experts = int(hf_config.get("num_experts") or hf_config.get("num_local_experts") or 0)
    feed_forward = hf_config["moe_intermediate_size"] if experts else hf_config["intermediate_size"]
    model_type = str(hf_config.get("model_type", ""))
    return ModelSizes(
        hidden_size=hidden,
        layers=int(hf_config["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(hf_config.get("num_key_value_heads") or heads),
        head_dim=int(hf_config.get("head_dim") or hidden // heads),
        intermediate_size=int(feed_forward),
        vocab_size=int(hf_config["vocab_size"]),
        experts=experts,
        experts_per_token=int(hf_config.get("num_experts_per_tok") or 1) if experts else 0,
        qk_norm=model_type.startswith("qwen3"),
        attention_bias=model_type == "qwen2" or bool(hf_config.get("attention_bias")),
        tied=bool(hf_config.get("tie_word_embeddings", False)),
    )


def parameters(sizes: ModelSizes) -> int:
    """All parameters of the model."""
    return _count(sizes, sizes.experts)


def active_parameters(sizes: ModelSizes) -> int:
    """The parameters that one token passes through: of the experts only those that it visits."""
    return _count(sizes, sizes.experts_per_token)


def flops_per_token(sizes: ModelSizes, length: int) -> float:
    """Operations to train on one token of rows of this length: forward, and twice that backward.

    Six a parameter, and the attention scores and sums, of which the causal mask needs half.
    """
    embedding = 0 if sizes.tied else sizes.vocab_size * sizes.hidden_size  # a lookup costs nothing
    attention = 6 * sizes.layers * sizes.heads * sizes.head_dim * length
    return 6.0 * (active_parameters(sizes) - embedding) + attention


def adapter_parameters(sizes: ModelSizes, rank: int, targets: list[str]) -> int:
    """Parameters of low-rank adapters beside some linear layers.

    Args:
        sizes: of the base.
        rank: inner width of the adapters.
        targets: ends of the layers' names; empty for all linear layers. Experts have none of their own.
    """
    chosen = [shape for name, shape in linear_layers(sizes).items() if not targets or name in targets]
    return sizes.layers * rank * sum(wide + high for wide, high in chosen)


def linear_layers(sizes: ModelSizes) -> dict[str, tuple[int, int]]:
    """The linear layers of each block, inputs and outputs by the ends of their names, as MiniMind, Qwen and Llama have
    them; experts are none."""
    hidden, inner = sizes.hidden_size, sizes.intermediate_size
    query, key = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
    layers = {"q_proj": (hidden, query), "k_proj": (hidden, key), "v_proj": (hidden, key), "o_proj": (query, hidden)}
    if not sizes.experts:
        layers |= {"gate_proj": (hidden, inner), "up_proj": (hidden, inner), "down_proj": (inner, hidden)}
    return layers


def checkpoint_bytes(count: int) -> int:
    """Disk that one checkpoint of so many parameters takes."""
    return BYTES_PER_PARAMETER * count + CHECKPOINT_EXTRA_BYTES


def _count(s: ModelSizes, experts: int) -> int:
    embeddings = s.vocab_size * s.hidden_size * (1 if s.tied else 2)
    return embeddings + s.layers * _layer(s, experts) + s.hidden_size


def _layer(s: ModelSizes, experts: int) -> int:
    query, key = s.heads * s.head_dim, s.kv_heads * s.head_dim
    attention = s.hidden_size * (2 * query + 2 * key)
    biases = (query + 2 * key) if s.attention_bias else 0
    norms = 2 * s.hidden_size + (2 * s.head_dim if s.qk_norm else 0)
    expert = 3 * s.hidden_size * s.intermediate_size
    if not s.experts:
        return attention + biases + norms + expert
    router = s.experts * s.hidden_size
    return attention + biases + norms + router + experts * expert
