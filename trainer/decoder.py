"""The forward pass of Llama, Qwen3 and Qwen3-MoE (all of MiniMind) for writing texts: prompts at once, then one token
of each sequence at a time, with keys and values kept. It computes in float32 or with half-precision matrix products,
as a training does; residuals, norms and rotations are in float32.

decoder = Decoder(model, torch.device("cpu"), torch.float32)
logits = decoder.begin(prompts, more=64)
logits = decoder.step(ids)
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from trainer.decoder_weights import DecoderWeights, Layer
from trainer.kv_cache import KVCache

PREFILL_TOKENS = 32_768
"""Prompts are read in groups of about so many tokens, pads included, which bounds the memory for it."""


class Decoder:
    """A model that reads prompts and writes one token of each at a time."""

    def __init__(self, model: PreTrainedModel, device: torch.device, dtype: torch.dtype) -> None:
        self.weights = DecoderWeights(model, device, dtype)
        self.cache = KVCache(self.weights)
        self._rotary: Any = model.base_model.rotary_emb
        self._logits = torch.empty(0)  # of a step; fresh memory of this size would cost more than what is written there
        self.rotation = torch.empty(0)
        """Cosines and signed sines of every position [2, positions, head size], float32."""

    def refresh(self) -> None:
        """Take over the model's current weights."""
        self.weights.refresh()

    def writing(self) -> AbstractContextManager[None]:
        """Around a text: nothing, because the model itself is not asked."""
        return nullcontext()

    def begin(self, prompts: Sequence[np.ndarray], more: int, rows: int = 0) -> torch.Tensor:
        """Read prompts, for `more` tokens to follow each. The cache has room for `rows` sequences, or more.

        Returns:
            The logits [prompts, vocabulary] of what follows, in the precision of the matrix products.
        """
        keys = [prompt.tobytes() for prompt in prompts]
        first_of = {key: index for index, key in reversed(list(enumerate(keys)))}
        different = sorted(first_of.values(), key=lambda index: -len(prompts[index]))  # like lengths stand together
        longest = len(prompts[different[0]])
        self.cache.begin([len(prompt) for prompt in prompts], max(rows, len(prompts)), more)
        self._rotate_up_to(longest + more)
        place = {keys[index]: row for row, index in enumerate(different)}
        row_of = torch.tensor([place[key] for key in keys], device=self.weights.device)
        logits, start = [], 0
        while start < len(different):
            length = len(prompts[different[start]])
            group = different[start : start + max(1, PREFILL_TOKENS // length)]
            filled = ((row_of >= start) & (row_of < start + len(group))).nonzero()[:, 0]
            logits.append(self._read([prompts[index] for index in group], filled, row_of[filled] - start))
            start += len(group)
        return torch.cat(logits)[row_of]

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Append one token [rows] to each sequence.

        Returns:
            The logits [rows, vocabulary] of what follows, until the next step writes over them.
        """
        weights, cache = self.weights, self.cache
        x = weights.embedding[ids].float()
        positions = cache.positions()
        rotation = self.rotation[:, positions, None]
        hidden = cache.hidden_slots()
        for number, layer in enumerate(weights.layers):

            def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, number: int = number) -> torch.Tensor:
                keys, values = cache.append(number, k, v)
                # The queries of a key-value head stand in the place of query positions: no head is repeated.
                q = q.view(len(q), weights.kv_heads, -1, weights.head_size)
                return F.scaled_dot_product_attention(q, keys, values, attn_mask=hidden).reshape(len(q), -1)

            x = self._layer(layer, x, rotation, attend)
        cache.filled += 1
        if len(self._logits) < len(x):
            self._logits = torch.empty((len(x), len(weights.head)), dtype=weights.dtype, device=weights.device)
        return torch.mm(self._last(x), weights.head.T, out=self._logits[: len(x)])

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only, in this order."""
        self.cache.keep(rows)

    def _rotate_up_to(self, count: int) -> None:
        if self.rotation.numel() and self.rotation.shape[1] >= count:
            return
        count = -(-count // 256) * 256
        device = self.weights.device
        cos, sin = self._rotary(torch.zeros(1, device=device), torch.arange(count, device=device)[None])
        half = sin.shape[-1] // 2
        sin = torch.cat((-sin[0, :, :half], sin[0, :, half:]), dim=-1)
        self.rotation = torch.stack((cos[0], sin))

    def _read(self, prompts: list[np.ndarray], rows: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        """Logits [prompts, vocabulary] after prompts that are padded on the left; keys and values of prompt `which[i]`
        go to row `rows[i]` of the cache."""
        weights, count, length = self.weights, len(prompts), max(map(len, prompts))
        padded = np.zeros((count, length), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            padded[row, length - len(prompt) :] = prompt
        ids = torch.from_numpy(padded).to(weights.device)
        starts = torch.tensor([length - len(prompt) for prompt in prompts], device=weights.device)
        slots = torch.arange(length, device=weights.device)
        positions = (slots - starts[:, None]).clamp_min(0)
        rotation = self.rotation[:, positions, None]
        seen = (slots[:, None] >= slots) & (slots >= starts[:, None, None])
        seen |= torch.eye(length, dtype=torch.bool, device=weights.device)  # a pad must see something, or it is NaN
        padding = min(map(len, prompts)) < length
        x = weights.embedding[ids].float()
        for number, layer in enumerate(weights.layers):

            def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, number: int = number) -> torch.Tensor:
                q, k, v = (t.transpose(1, 2) for t in (q, k, v))
                self.cache.fill(number, rows, k, v, which)
                k, v = (t.repeat_interleave(weights.groups, dim=1) for t in (k, v))
                mask = seen[:, None] if padding else None
                out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=not padding)
                return out.transpose(1, 2).reshape(count, length, -1)

            x = self._layer(layer, x, rotation, attend)
        return F.linear(self._last(x[:, -1]), weights.head)

    def _layer(self, layer: Layer, x: torch.Tensor, rotation: torch.Tensor, attend: Any) -> torch.Tensor:
        """x [..., width] after a layer; `attend` takes queries, keys and values [..., heads, head size]."""
        weights = self.weights
        both = weights.heads + weights.kv_heads
        normed = self._norm(x, layer.attention_norm).to(weights.dtype)
        qkv = F.linear(normed, layer.qkv).unflatten(-1, (-1, weights.head_size))
        qk, v = qkv[..., :both, :].float(), qkv[..., both:, :]
        if layer.qk_norm is not None:
            qk = self._norm(qk, layer.qk_norm)
        half = weights.head_size // 2
        swapped = torch.cat((qk[..., half:], qk[..., :half]), dim=-1)
        qk = (qk * rotation[0]).addcmul_(swapped, rotation[1]).to(weights.dtype)
        mixed = attend(qk[..., : weights.heads, :], qk[..., weights.heads :, :], v)
        x = x + F.linear(mixed, layer.out)
        normed = self._norm(x, layer.mlp_norm).to(weights.dtype)
        return x + (_mlp(layer, normed) if layer.router is None else self._experts(layer, normed))

    def _norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, x.shape[-1:], eps=self.weights.epsilon) * weight

    def _experts(self, layer: Layer, x: torch.Tensor) -> torch.Tensor:
        assert layer.router is not None
        tokens, out = x.flatten(0, -2), torch.zeros_like(x).flatten(0, -2)
        shares = F.linear(tokens, layer.router).softmax(-1, dtype=torch.float32)
        share, chosen = shares.topk(self.weights.experts_per_token, dim=-1)
        if self.weights.shares_sum_to_one:
            share = share / share.sum(-1, keepdim=True)
        for expert, (gate_up, down) in enumerate(zip(layer.gate_up, layer.down, strict=True)):
            row, place = (chosen == expert).nonzero(as_tuple=True)
            gate, up = F.linear(tokens[row], gate_up).chunk(2, dim=-1)
            result = F.linear(F.silu(gate) * up, down) * share[row, place, None]
            out.index_add_(0, row, result.to(out.dtype))
        return out.view_as(x)

    def _last(self, x: torch.Tensor) -> torch.Tensor:
        return self._norm(x, self.weights.norm).to(self.weights.dtype)


def _mlp(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    gate, up = F.linear(x, layer.gate_up).chunk(2, dim=-1)
    return F.linear(F.silu(gate).mul_(up), layer.down)
