"""Mixtures of experts on a GPU in half precision: one matrix product for all experts, each with its own tokens.

transformers' own grouped product computes in the precision of the weights, which is float32 here, and under
torch.compile waits for the host in every layer. Registered with transformers as `minimind_grouped`:

    use_grouped_experts(model, device, "bfloat16")
"""

from typing import Any

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

GROUPED = "minimind_grouped"


def use_grouped_experts(model: PreTrainedModel, device: torch.device, dtype: str) -> None:
    """Have the experts of a model computed together, where the GPU's grouped product can: in bfloat16."""
    if device.type == "cuda" and dtype == "bfloat16" and getattr(model.config, "num_experts", 0):
        model.set_experts_implementation(GROUPED)


def grouped_experts(
    module: Any, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
) -> torch.Tensor:
    """Each token through its experts, in bfloat16.

    Args:
        module: transformers' experts of a layer.
        hidden_states: [tokens, width].
        top_k_index: experts of each token [tokens, k].
        top_k_weights: their weights [tokens, k].

    Returns:
        [tokens, width].
    """
    tokens, k = top_k_index.shape
    expert = top_k_index.flatten()
    order = expert.argsort(stable=True)
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    experts = torch.arange(module.num_experts, device=expert.device)
    ends = (expert[:, None] == experts).sum(dim=0).cumsum(dim=0).to(torch.int32)
    sorted_states = _Reorder.apply(hidden_states.bfloat16().repeat_interleave(k, dim=0), order, back)
    both = F.grouped_mm(sorted_states, module.gate_up_proj.bfloat16().transpose(1, 2), offs=ends)
    gate, up = both.chunk(2, dim=-1)
    out = F.grouped_mm(module.act_fn(gate) * up, module.down_proj.bfloat16().transpose(1, 2), offs=ends)
    out = _Reorder.apply(out, back, order).view(tokens, k, -1)
    return (out * top_k_weights.unsqueeze(-1)).sum(dim=1).to(hidden_states.dtype)


class _Reorder(torch.autograd.Function):
    """Rows in another order. Says that it only reorders, so that its gradient needs no additions."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, order: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(order, back)
        return rows[order]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        _, back = ctx.saved_tensors
        return gradients[0][back], None, None


ALL_EXPERTS_FUNCTIONS.register(GROUPED, grouped_experts)
