"""Decoding on a GPU: some steps, drawing included, are one CUDA graph, so that the host waits for nothing and launches
little. Attention reads only what is filled, so that one graph serves texts of any length.
"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
import triton

from trainer import decoding_kernels as kernels
from trainer.decoder import Decoder
from trainer.decoder_weights import DecoderWeights, Layer
from trainer.sampling import Sampling

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
    """Whether the kernels are made for a model of these sizes."""
    experts = max(len(layer.router) if layer.router is not None else 0 for layer in weights.layers)
    vocabulary = len(weights.head)
    return weights.groups <= 16 and weights.head_size <= 256 and experts <= 16 and vocabulary <= 32_768


class GraphDecoder:
    """Writes completions with a decoder's weights and cache."""

    def __init__(self, decoder: Decoder, end_ids: Collection[int]) -> None:
        self._decoder, self._weights = decoder, decoder.weights
        ends = [*end_ids, -1]
        ends += [-1] * (triton.next_power_of_2(len(ends)) - len(ends))  # kernels take powers of two
        self._ends = torch.tensor(ends, dtype=torch.int64, device=self._weights.device)
        self._state = _State(self._weights, 0, 0)
        self._graphs: dict[tuple[int, tuple[bool, bool, bool]], torch.cuda.CUDAGraph] = {}
        self._addresses: tuple[int, ...] = ()

    def write(self, prompts: Sequence[np.ndarray], sampling: Sampling, noise: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Tokens and their log-probabilities, each [prompts, max_new_tokens]; what follows an end token is void."""
        count, limit = len(prompts), sampling.max_new_tokens
        rows = batch_size(count)
        logits = self._decoder.begin(prompts, limit + GRAPH_STEPS, rows)
        state = self._begin(logits, rows, noise, sampling)
        vocabulary = logits.shape[-1]
        kind = (sampling.temperature == 0, 0 < sampling.top_k < vocabulary, sampling.top_p < 1)
        self._sample(rows, kind)
        going, left = list(range(count)), limit - 1
        while left > 0:
            steps = min(LOOK_STEPS, -(-left // GRAPH_STEPS) * GRAPH_STEPS)
            for _ in range(0, steps, GRAPH_STEPS):
                self._steps(rows, kind)
            self._decoder.cache.filled += steps
            left -= steps
            if left > 0:
                done = state.done[: len(going)].tolist()
                going = [row for row, ended in enumerate(done) if not ended]
                if not going:
                    break
                if batch_size(len(going)) < rows:
                    rows = batch_size(len(going))
                    state.keep(torch.tensor(going, device=self._weights.device), rows)
                    self._decoder.cache.keep(torch.tensor(going, device=self._weights.device))
                else:
                    going = list(range(len(done)))
        return state.ids[:count, :limit], state.logps[:count, :limit]

    def _begin(self, logits: torch.Tensor, rows: int, noise: np.ndarray, sampling: Sampling) -> "_State":
        limit = sampling.max_new_tokens
        if self._state.rows < rows or self._state.limit < limit + GRAPH_STEPS:
            limit = max(-(-(limit + GRAPH_STEPS) // 64) * 64, self._state.limit)
            self._state = _State(self._weights, max(rows, self._state.rows), limit)
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
        weights, state = self._weights, self._state
        width = weights.embedding.shape[1]
        span = triton.next_power_of_2(width)
        for _ in range(GRAPH_STEPS):
            kernels.embed[(rows,)](state.next_ids, weights.embedding, state.x, state.clock, width, span)
            for layer, kept in zip(weights.layers, self._decoder.cache.room, strict=True):
                self._project(state.x, layer.qkv, state.qkv, rows, norm=layer.attention_norm)
                self._attend(layer, kept, rows)
                self._project(state.mixed, layer.out, state.x, rows, added=True)
                self._project(
                    state.x, layer.gate_up, state.inner, rows, norm=layer.mlp_norm, router=layer.router, gated=True
                )
                self._project(state.inner, layer.down, state.x, rows, added=True)
            self._project(state.x, weights.head, state.logits, rows, norm=weights.norm)
            self._sample(rows, kind)

    def _project(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        out: torch.Tensor,
        rows: int,
        norm: torch.Tensor | None = None,
        router: torch.Tensor | None = None,
        gated: bool = False,
        added: bool = False,
    ) -> None:
        weights = self._weights
        experts = len(weight) if weight.ndim == 3 else 0
        outputs, inputs = weight.shape[-2] // (2 if gated else 1), weight.shape[-1]
        tile = _tile(rows, outputs)
        blocks = triton.cdiv(outputs, tile["COLUMNS"]) * (experts if gated and experts else 1)
        kernels.project[(blocks, triton.cdiv(rows, tile["ROWS"]))](
            x,
            weight,
            weight if norm is None else norm,
            weight if router is None else router,
            out,
            rows,
            outputs,
            weights.epsilon,
            INPUTS=inputs,
            EXPERTS=experts,
            CHOSEN=weights.experts_per_token,
            ONE=weights.shares_sum_to_one,
            NORMED=norm is not None,
            GATED=gated,
            ADDED=added,
            PRECISION=self._precision,
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
            BLOCK=64,
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


def _tile(rows: int, outputs: int) -> dict[str, int]:
    """How a matrix product is cut: into enough parts to keep the GPU busy."""
    if rows <= 32:
        return {"ROWS": rows, "COLUMNS": 16, "DEPTH": 128, "num_warps": 4, "num_stages": 4}
    return {"ROWS": 64, "COLUMNS": 32 if outputs < 4096 else 64, "DEPTH": 64, "num_warps": 4, "num_stages": 4}


class _State:
    """What the kernels read and write beside weights, keys and values; it stays where it is, as graphs need."""

    def __init__(self, weights: DecoderWeights, rows: int, limit: int) -> None:
        self.rows, self.limit = rows, limit
        device, half = weights.device, weights.dtype
        attention = (weights.heads + 2 * weights.kv_heads, weights.heads)
        down = weights.layers[0].down
        inner = down.shape[-1] * (len(down) if down.ndim == 3 else 1)
        self.x = torch.zeros((rows, weights.embedding.shape[1]), device=device)
        self.qkv, self.mixed = (
            torch.zeros((rows, n * weights.head_size), dtype=half, device=device) for n in attention
        )
        self.inner = torch.zeros((rows, inner), dtype=half, device=device)
        self.logits = torch.zeros((rows, len(weights.head)), device=device)
        self.next_ids = torch.zeros(rows, dtype=torch.int64, device=device)
        self.done = torch.zeros(rows, dtype=torch.int32, device=device)
        self.starts = torch.zeros(rows, dtype=torch.int32, device=device)
        self.which = torch.zeros(rows, dtype=torch.int32, device=device)
        """Row of the batch as it began; rows that stand for none share the last."""
        self.clock = torch.zeros(2, dtype=torch.int32, device=device)
        """Slot of the token that is read, and place of the token that is drawn."""
        self.settings = torch.zeros(3, device=device)
        self.noise = torch.zeros((rows + 1, limit), dtype=torch.float64, device=device)
        self.ids = torch.zeros((rows + 1, limit), dtype=torch.int64, device=device)
        self.logps = torch.zeros((rows + 1, limit), device=device)

    def begin(
        self, logits: torch.Tensor, starts: torch.Tensor, filled: int, noise: np.ndarray, sampling: Sampling
    ) -> None:
        """After prompts with these logits [prompts, vocabulary], which fill so many slots."""
        count, limit = noise.shape
        device = self.x.device
        self.logits[:count] = logits
        self.noise[:count, :limit] = torch.from_numpy(noise).to(device)
        self.done.zero_()
        self.which.fill_(self.rows)
        self.which[:count] = torch.arange(count, device=device)
        self.starts.fill_(2**30)  # rows that stand for none begin after everything: they read nothing
        self.starts[:count] = starts
        self.clock.copy_(torch.tensor([filled - 1, 0], device=device))
        self.settings.copy_(torch.tensor([sampling.temperature, sampling.top_k, sampling.top_p], device=device))

    def keep(self, kept: torch.Tensor, rows: int) -> None:
        """Go on with these rows only, in this order, of now `rows`."""
        count = len(kept)
        for tensor, void in ((self.next_ids, 0), (self.done, 0), (self.starts, 2**30), (self.which, self.rows)):
            tensor[:count] = tensor[kept]
            tensor[count:rows] = void
