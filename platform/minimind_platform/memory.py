"""How much memory of its device a training needs, by a formula that docs/training.md states and compares with figures.

memory_bytes(config, sizes, tokens=10_880)      # 6.6e9 for minimind-3, eager, 32 rows of 340 tokens
"""

from dataclasses import dataclass

from trainer.configs import LoRAConfig, TrainConfig
from trainer.rl_config import RolloutConfig
from trainer.sizes import ModelSizes, adapter_parameters, parameters

WEIGHT, TRAINED, CAST = 4, 16, 2
"""Bytes of a parameter: its weight; with gradient and both numbers of the optimizer; its copy in half precision."""
COMPILED = 0.55
"""What compiling leaves of the activations, as measured on a GPU."""


@dataclass(frozen=True)
class Beside:
    """Models that are in memory beside the one that is trained."""

    teacher: ModelSizes | None = None
    """Of a distillation."""
    answers: int = 0
    """Written at once, of a training by rewards."""
    answer_tokens: int = 0
    """Of an answer with its prompt, at most."""


NOTHING = Beside()


def memory_bytes(config: TrainConfig, sizes: ModelSizes, tokens: float, beside: Beside = NOTHING) -> int:
    """Bytes that one process needs when a usual batch goes through it, without what the library itself takes.

    Args:
        config: the settings.
        sizes: of the model.
        tokens: that go through it at once, forward and backward.
        beside: what else is in memory.
    """
    learning = tokens * activation_bytes(config, sizes, beside.teacher)
    writing = (
        beside.answers * beside.answer_tokens * sizes.layers * 2 * sizes.kv_heads * sizes.head_dim * _width(config)
    )
    return round(_state(config, sizes, beside.teacher) + max(learning, writing))


def activation_bytes(config: TrainConfig, sizes: ModelSizes, teacher: ModelSizes | None = None) -> float:
    """Bytes that the backward pass needs of one token.

    Of each layer: of both norms the input, what it becomes in float32, and the result; of queries and keys the same
    where they have norms, and before and after their rotation; of the values, of what attention gives, and four of the
    width of the feed-forward layer of each expert that a token visits. Then the logits, in both precisions and their
    gradients.
    """
    width = _width(config)
    query, key = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
    norms = 2 * (8 + width) * sizes.hidden_size
    attention = ((8 + width if sizes.qk_norm else 0) + 2 * width) * (query + key) + width * (query + key)
    feed_forward = 4 * width * sizes.intermediate_size * max(1, sizes.experts_per_token)
    layer = norms + attention + feed_forward
    kept = 4 * sizes.hidden_size * sizes.layers + layer if config.gradient_checkpointing else sizes.layers * layer
    logits = (8 + 2 * width) * sizes.vocab_size + ((8 + width) * sizes.vocab_size if teacher else 0)
    return (kept + logits) * (COMPILED if config.compile and config.device != "cpu" else 1.0)


def _state(config: TrainConfig, sizes: ModelSizes, teacher: ModelSizes | None) -> float:
    """Weights, gradients and the optimizer's numbers."""
    count = parameters(sizes)
    trained, frozen = count, parameters(teacher) if teacher else 0
    if isinstance(config, LoRAConfig):
        trained, frozen = adapter_parameters(sizes, config.lora_rank, config.lora_targets), count
    if isinstance(config, RolloutConfig):
        trained, frozen = count * (2 if config.has_critic else 1), count if config.has_reference else 0
    cast = CAST * (trained + frozen) if config.dtype != "float32" else 0
    shared = config.num_processes if config.sharded else 1
    return TRAINED * trained / shared + WEIGHT * frozen + cast


def _width(config: TrainConfig) -> int:
    return 4 if config.dtype == "float32" else 2
