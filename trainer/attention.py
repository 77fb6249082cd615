"""Attention over packed rows: documents stand one behind the other without padding, and each attends to itself only.

Registered with transformers as `minimind_packed`, so every model class that supports attention backends can use it:

    model.set_attn_implementation(PACKED)
    model(input_ids, position_ids=positions, document_bounds=bounds, longest_document=longest)
"""

from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, PreTrainedModel

from trainer.errors import Problem, SettingsError

PACKED = "minimind_packed"


def pack(model: PreTrainedModel) -> None:
    """Have a model attend to packed rows.

    Raises:
        SettingsError: its class has its own attention code, which does not know of documents.
    """
    if not model._supports_attention_backend:
        raise cannot_pack(f"{type(model).__name__} has attention code of its own")
    model.set_attn_implementation(PACKED)


def cannot_pack(reason: str) -> SettingsError:
    """What is told of a model whose rows must be padded."""
    text = f"This model cannot train on packed rows: {reason}. Set packing to false."
    return SettingsError([Problem("packing", "cannot_pack", text, {"reason": reason})])


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 - part of the interface; documents replace it
    scaling: float | None = None,
    dropout: float = 0.0,
    document_bounds: torch.Tensor | None = None,
    longest_document: int = 0,
    sliding_window: int | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention inside each document.

    Args:
        module: the attention layer.
        query: [1, heads, tokens, head size]; key and value: [1, key-value heads, tokens, head size].
        attention_mask: not used.
        scaling: factor on the scores; None for 1/sqrt(head size).
        dropout: rate on the attention weights (CPU and float32 path only).
        document_bounds: where the documents begin and end, [documents + 1], int32, on the device of the model. None:
            one document, plain causal attention.
        longest_document: tokens of the longest document.
        sliding_window: tokens that a token sees, itself included; None for all before it.
        more: what else a model's attention may want; refused, because ignoring it would change the model in silence.

    Returns:
        [1, tokens, heads, head size], and None for the weights.
    """
    for name in ("softcap", "s_aux", "position_bias"):
        if more.get(name) is not None:
            raise cannot_pack(f"its attention uses {name}")
    if document_bounds is not None and query.is_cuda:
        # Under autocast the norms of queries and keys give float32 again; the kernel wants what autocast computes in.
        half = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else query.dtype
        if half in (torch.bfloat16, torch.float16):
            q, k, v = query.to(half), key.to(half), value.to(half)
            return _varlen(q, k, v, document_bounds, longest_document, scaling, sliding_window), None
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key = key.repeat_interleave(groups, dim=1)
        value = value.repeat_interleave(groups, dim=1)
    dropout = dropout if module.training else 0.0
    return _each_document(query, key, value, document_bounds, scaling, dropout, sliding_window), None  # pyright: ignore


@torch.compiler.disable
def _each_document(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor | None,
    scaling: float | None,
    dropout: float,
    window: int | None,
) -> torch.Tensor:
    lengths = [query.shape[2]] if bounds is None else bounds.diff().tolist()
    parts = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
    outputs = []
    for q, k, v in parts:
        mask = _band(q.shape[2], window, q.device) if window and window < q.shape[2] else None
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, scale=scaling, dropout_p=dropout
        )
        outputs.append(out)
    return torch.cat(outputs, dim=2).transpose(1, 2)


def _band(length: int, window: int, device: torch.device) -> torch.Tensor:
    """[length, length] true where a token sees another: itself and the `window` - 1 before it."""
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)[None]
    return (distance >= 0) & (distance < window)


def _varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    # Imported here: only on CUDA, and it costs time that a CPU run need not spend.
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (t[0].transpose(0, 1) for t in (query, key, value))
    band = (window - 1 if window else -1, 0)
    out = varlen_attn(q, k, v, bounds, bounds, longest, longest, scale=scaling, window_size=band, enable_gqa=True)
    assert isinstance(out, torch.Tensor)  # return_aux is not asked for
    return out.unsqueeze(0)


AttentionInterface.register(PACKED, packed_attention)
