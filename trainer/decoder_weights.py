"""The weights of a Llama, Qwen3 or Qwen3-MoE as a decoder reads them: projections with the same input stand in one
matrix, in the precision of the matrix products. Norms stay in float32.

weights = DecoderWeights(model, device, torch.bfloat16)
weights.refresh()    # after the model has learned
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

CLASSES = ("LlamaForCausalLM", "Qwen3ForCausalLM", "Qwen3MoeForCausalLM")
ROTATIONS = ("default", "linear", "yarn", "llama3")
"""Kinds of rotary positions whose angles do not depend on the length of a text."""


def can_decode(model: PreTrainedModel) -> bool:
    """Whether the decoder computes what the model does: MiniMind's classes without biases, windows or adapters."""
    config: Any = model.config
    if type(model).__name__ not in CLASSES:
        return False
    mixtures = {hasattr(layer.mlp, "experts") for layer in model.base_model.layers}  # pyright: ignore
    projections = [module for name, module in model.named_modules() if name.endswith("_proj")]
    return (
        config.hidden_act == "silu"
        and config.rope_parameters.get("rope_type", "default") in ROTATIONS
        and not getattr(config, "use_sliding_window", False)
        and len(mixtures) == 1
        and all(type(module) is torch.nn.Linear and module.bias is None for module in projections)
    )


@dataclass(frozen=True)
class Layer:
    """One layer. Matrices are [outputs, inputs]."""

    attention_norm: torch.Tensor
    qkv: torch.Tensor
    """Queries, keys and values of all heads, one behind the other."""
    qk_norm: torch.Tensor | None
    """[heads + key-value heads, head size]; None: queries and keys are not normed (Llama)."""
    out: torch.Tensor
    mlp_norm: torch.Tensor
    gate_up: torch.Tensor
    """Of a mixture [experts, 2 x inner size, width]."""
    down: torch.Tensor
    """Of a mixture [experts, width, inner size]."""
    router: torch.Tensor | None
    """[experts, width] of a mixture."""


class DecoderWeights:
    """All weights, and the sizes that they have."""

    def __init__(self, model: PreTrainedModel, device: torch.device, dtype: torch.dtype) -> None:
        config: Any = model.config
        self.device, self.dtype = device, dtype
        self.heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads
        self.groups = self.heads // self.kv_heads
        self.head_size: int = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.epsilon: float = config.rms_norm_eps
        self.experts_per_token: int = getattr(config, "num_experts_per_tok", 0) or 0
        self.shares_sum_to_one = bool(getattr(config, "norm_topk_prob", False))
        self._copies: list[tuple[torch.Tensor, torch.Tensor]] = []
        base: Any = model.base_model
        self.embedding = self._matrix(base.embed_tokens.weight)
        head: Any = model.get_output_embeddings()
        self.head = self.embedding if head.weight is base.embed_tokens.weight else self._matrix(head.weight)
        self.norm = self._copy([base.norm.weight], torch.float32)
        self.layers = [self._layer(layer) for layer in base.layers]
        self.refresh()

    def refresh(self) -> None:
        """Take over the model's current weights."""
        with torch.inference_mode():
            for target, source in self._copies:
                target.copy_(source)

    def _layer(self, layer: Any) -> Layer:
        attention, mlp = layer.self_attn, layer.mlp
        qk_norm = None
        if hasattr(attention, "q_norm"):
            norms = [attention.q_norm.weight[None]] * self.heads + [attention.k_norm.weight[None]] * self.kv_heads
            qk_norm = self._copy(norms, torch.float32)
        mixture = hasattr(mlp, "experts")
        return Layer(
            attention_norm=self._copy([layer.input_layernorm.weight], torch.float32),
            qkv=self._copy([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight], self.dtype),
            qk_norm=qk_norm,
            out=self._matrix(attention.o_proj.weight),
            mlp_norm=self._copy([layer.post_attention_layernorm.weight], torch.float32),
            gate_up=self._matrix(mlp.experts.gate_up_proj)
            if mixture
            else self._copy([mlp.gate_proj.weight, mlp.up_proj.weight], self.dtype),
            down=self._matrix(mlp.experts.down_proj if mixture else mlp.down_proj.weight),
            router=self._matrix(mlp.gate.weight) if mixture else None,
        )

    def _matrix(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight itself where it is as it should be, else a copy that follows it."""
        if weight.device == self.device and weight.dtype == self.dtype:
            return weight.detach()
        return self._copy([weight], self.dtype)

    def _copy(self, sources: Sequence[torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
        """One tensor with the sources one behind the other; `refresh` fills it."""
        size = (sum(len(source) for source in sources), *sources[0].shape[1:])
        with torch.inference_mode():
            target = torch.empty(size, dtype=dtype, device=self.device)
            parts = target.split([len(source) for source in sources])
        self._copies += [(part, source.detach()) for part, source in zip(parts, sources, strict=True)]
        return target
