"""Decoding on a GPU: some steps, drawing included, are one CUDA graph, so that the host waits for nothing and launches
little. Attention reads only what is filled, so that one graph serves texts of any length.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
import triton  # pyright: ignore[reportMissingImports]  # comes with PyTorch for a GPU

from trainer import decoding_kernels
from trainer.decoder import Decoder
from trainer.decoder_weights import DecoderWeights, Layer
from trainer.decoding_state import DecodingState
from trainer.sampling import Sampling

kernels: Any = decoding_kernels
GRAPH_STEPS = 4
"""Tokens of each sequence that one graph writes."""
LOOK_STEPS = 16
"""After so many the host looks which sequences have ended; that is the only time that it waits."""


def batch_size(count: int) -> int:
    """The rows that so many sequences are computed in: few sizes, because each is a graph of its own."""
    if count <= 16:
        return 16
    step = 2 ** max(4, (count - 1).bit_length() - 2)
    return -(-count // step) * step


def can_graph(weights: DecoderWeights) -> bool:
    """Whether the kernels are made for a model of these sizes, and for this GPU."""
    if torch.cuda.get_device_capability(weights.device) < (8, 0):
        return False
    experts = max(len(layer.router) if layer.router is not None else 0 for layer in weights.layers)
    vocabulary = len(weights.head)
    return weights.groups <= 16 and weights.head_size <= 128 and experts <= 16 and vocabulary <= 32_768


class GraphDecoder:
    """Writes completions with a decoder's weights and cache."""

    def __init__(self, decoder: Decoder, end_ids: Collection[int]) -> None:
        self._decoder, self._weights = decoder, decoder.weights
        ends = [*end_ids, -1]
        ends += [-1] * (triton.next_power_of_2(len(ends)) - len(ends))  # kernels take powers of two
        self._ends = torch.tensor(ends, dtype=torch.int64, device=self._weights.device)
        self._state = DecodingState(self._weights, 0, 0)
        self._graphs: dict[tuple[int, tuple[bool, bool, bool]], torch.cuda.CUDAGraph] = {}
        self._addresses: tuple[int, ...] = ()

    def write(self, prompts: Sequence[np.ndarray], sampling: Sampling, noise: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Tokens and their log-probabilities, each [prompts, max_new_tokens]; what follows an end token is void."""
        with torch.cuda.device(self._weights.device):
            return self._write(prompts, sampling, noise)

    def _write(self, prompts: Sequence[np.ndarray], sampling: Sampling, noise: np.ndarray) -> tuple[torch.Tensor, ...]:
        count, limit = len(prompts), sampling.max_new_tokens
        rows, left = batch_size(count), limit - 1
        # The last graph may write past the limit.
        logits = self._decoder.begin(prompts, limit + GRAPH_STEPS, rows)
        state = self._begin(logits, rows, noise, sampling)
        kind = (sampling.temperature == 0, 0 < sampling.top_k < logits.shape[-1], sampling.top_p < 1)
        self._sample(rows, kind)
        sequences = count
        while left > 0:
            steps = min(LOOK_STEPS, -(-left // GRAPH_STEPS) * GRAPH_STEPS)
            for _ in range(0, steps, GRAPH_STEPS):
                self._steps(rows, kind)
            self._decoder.cache.filled += steps
            left -= steps
            going = [row for row, ended in enumerate(state.done[:sequences].tolist()) if not ended]
            if not going:
                break
            if batch_size(len(going)) < rows:
                rows, sequences = batch_size(len(going)), len(going)
                kept = torch.tensor(going, device=self._weights.device)
                state.keep(kept, rows)
                self._decoder.cache.keep(kept)
        return state.ids[:count, :limit], state.logps[:count, :limit]

    def _begin(self, logits: torch.Tensor, rows: int, noise: np.ndarray, sampling: Sampling) -> DecodingState:
        limit = sampling.max_new_tokens
        if self._state.rows < rows or self._state.limit < limit + GRAPH_STEPS:
            limit = max(-(-(limit + GRAPH_STEPS) // 64) * 64, self._state.limit)
            self._state = DecodingState(self._weights, max(rows, self._state.rows), limit)
        state, cache = self._state, self._decoder.cache
        addresses = (state.x.data_ptr(), cache.room.data_ptr(), self._decoder.rotation.data_ptr())
        if addresses != self._addresses:
            self._addresses = addresses
            self._graphs.clear()
        state.begin(logits, cache.starts, cache.filled, noise, sampling)
        return state

    def _steps(self, rows: int, kind: tuple[bool, bool, bool]) -> None:
        """GRAPH_STEPS tokens of each row. The first time they are computed as they are launched, which compiles the
        kernels; then they are captured."""
        graph = self._graphs.get((rows, kind))
        if graph:
            graph.replay()
            return
        self._launch(rows, kind)
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self._weights.device)
        with torch.cuda.stream(torch.cuda.Stream(self._weights.device)):
            graph.capture_begin(capture_error_mode="thread_local")
            self._launch(rows, kind)
            graph.capture_end()
        self._graphs[rows, kind] = graph

    def _launch(self, rows: int, kind: tuple[bool, bool, bool]) -> None:
        layers, state = self._weights.layers, self._state
        after = [layer.attention_norm for layer in layers[1:]] + [self._weights.norm]
        for _ in range(GRAPH_STEPS):
            self._embed(rows, layers[0].attention_norm)
            for layer, kept, next_norm in zip(layers, self._decoder.cache.room, after, strict=True):
                self._project(state.weighed, layer.qkv, state.qkv, rows, normed=True)
                self._attend(layer, kept, rows)
                self._project(state.mixed, layer.out, state.x, rows, norm=layer.mlp_norm)
                self._project(state.weighed, layer.gate_up, state.inner, rows, normed=True, gated=True, layer=layer)
                self._project(state.inner, layer.down, state.x, rows, norm=next_norm)
            self._project(state.weighed, self._weights.head, state.logits, rows, normed=True)
            self._sample(rows, kind)

    def _embed(self, rows: int, norm: torch.Tensor) -> None:
        weights, state = self._weights, self._state
        width = weights.embedding.shape[1]
        kernels.embed[(rows,)](
            state.next_ids,
            weights.embedding,
            norm,
            state.x,
            state.weighed,
            state.squares,
            state.clock,
            WIDTH=width,
            SPAN=triton.next_power_of_2(width),
            **self._parts(rows),
        )

    def _parts(self, rows: int) -> dict[str, int]:
        """How many sums of squares a row of the residual has: one for each block that a product is added by."""
        width = self._state.x.shape[1]
        parts = triton.cdiv(width, _tile(rows, width, True, False, self._weights.dtype)["COLUMNS"])
        return {"PARTS": parts, "PARTS_SPAN": triton.next_power_of_2(parts)}

    def _project(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        out: torch.Tensor,
        rows: int,
        norm: torch.Tensor | None = None,
        normed: bool = False,
        gated: bool = False,
        layer: Layer | None = None,
    ) -> None:
        """`norm`: the one that comes after the residual that is added to; `layer`: that with the router."""
        weights, state = self._weights, self._state
        router = layer.router if layer else None
        experts = len(weight) if weight.ndim == 3 else 0
        outputs, inputs = weight.shape[-2] // (2 if gated else 1), weight.shape[-1]
        tile = _tile(rows, outputs, norm is not None, gated, weights.dtype)
        blocks = triton.cdiv(outputs, tile["COLUMNS"]) * (experts if gated and experts else 1)
        kernels.project[(blocks, triton.cdiv(rows, tile["ROWS"]))](
            x,
            weight,
            out,
            weights.norm if norm is None else norm,
            state.weighed,
            state.squares,
            weight if router is None else router,
            rows,
            outputs,
            weights.epsilon,
            INPUTS=inputs,
            EXPERTS=experts,
            CHOSEN=weights.experts_per_token,
            ONE=weights.shares_sum_to_one,
            NORMED=normed,
            GATED=gated,
            ADDED=norm is not None,
            PRECISION=self._precision,
            **self._parts(rows),
            **tile,
        )

    def _attend(self, layer: Layer, kept: torch.Tensor, rows: int) -> None:
        weights, state, rotation = self._weights, self._state, self._decoder.rotation
        keys, values = kept
        kernels.attend[(rows, weights.kv_heads)](
            state.qkv,
            rotation if layer.qk_norm is None else layer.qk_norm,
            rotation,
            keys,
            values,
            state.starts,
            state.clock,
            state.mixed,
            keys.stride(0),
            keys.stride(1),
            rotation.shape[1],
            weights.epsilon,
            weights.head_size**-0.5,
            KV_HEADS=weights.kv_heads,
            GROUPS=weights.groups,
            SIZE=weights.head_size,
            SPAN=max(16, triton.next_power_of_2(weights.head_size)),
            NORMED=layer.qk_norm is not None,
            PRECISION=self._precision,
            BLOCK=128 // weights.dtype.itemsize,
            num_warps=4,
        )

    def _sample(self, rows: int, kind: tuple[bool, bool, bool]) -> None:
        state, vocabulary = self._state, len(self._weights.head)
        greedy, top_k, top_p = kind
        kernels.sample[(rows,)](
            state.logits,
            state.settings,
            state.noise,
            state.which,
            state.clock,
            self._ends,
            state.ids,
            state.logps,
            state.next_ids,
            state.done,
            state.limit,
            VOCABULARY=vocabulary,
            SPAN=triton.next_power_of_2(vocabulary),
            GREEDY=greedy,
            TOP_K=top_k,
            TOP_P=top_p,
            ENDS=len(self._ends),
            num_warps=8,
        )

    @property
    def _precision(self) -> str:
        return "ieee" if self._weights.dtype == torch.float32 else "tf32"


def _tile(rows: int, outputs: int, added: bool, gated: bool, dtype: torch.dtype) -> dict[str, int]:
    """How a matrix product is cut: as was fastest on an H100 for 16 and for 128 rows."""
    wide = gated or outputs > 4096
    if rows <= 32:
        tile = {"ROWS": rows, "COLUMNS": 32 if wide else 16, "DEPTH": 128}
    elif added:
        tile = {"ROWS": 64, "COLUMNS": 16, "DEPTH": 128}
    else:
        tile = {"ROWS": 64, "COLUMNS": 64 if wide else 32, "DEPTH": 64}
    tile["DEPTH"] //= dtype.itemsize // 2  # the same memory on the chip
    return tile | {"num_warps": 4, "num_stages": 4}
