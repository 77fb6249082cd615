"""Texts that a model writes after prompts, many at once: the rollouts that reinforcement learning learns from.

engine = RolloutEngine(model, end_ids={2}, pad_id=0, device=device, dtype="bfloat16")
engine.refresh()
completions = engine.generate(prompts, Sampling(max_new_tokens=64), draws(seed, step, 0, len(prompts), 64))

A completion depends on its prompt, its noise and the weights, and not on what else is in the batch.
"""

import logging
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from transformers import PreTrainedModel

from trainer.compiling import missing_for_kernels
from trainer.decoder import Decoder
from trainer.decoder_weights import can_decode
from trainer.errors import Problem, SettingsError
from trainer.forward_decoder import ForwardDecoder
from trainer.sampling import Sampling, choose

if TYPE_CHECKING:
    from trainer.decoding_cuda import GraphDecoder

log = logging.getLogger("trainer")
LEAVE_SHARE = 0.2
"""Sequences that have ended leave when they are so many of the batch: moving the others costs about a step."""

ASKED_EVERY = 8
"""Tokens between two looks at whether to give up."""


@dataclass(frozen=True)
class Completion:
    """What a model wrote after a prompt."""

    ids: np.ndarray
    """Tokens [n], int64; the end token included where the model wrote it."""
    logps: np.ndarray
    """Log-probability of each token [n], float32, under the very distribution that it was drawn from: with temperature
    and truncation. Of temperature 0 those of temperature 1."""
    ended: bool
    """Whether the model wrote an end token; else it was cut at the limit."""


class Writer(Protocol):
    """Reads prompts and gives the logits of what follows, token by token. All but `refresh` while `writing`."""

    def refresh(self) -> None: ...
    def writing(self) -> AbstractContextManager[None]: ...
    def begin(self, prompts: Sequence[np.ndarray], more: int) -> torch.Tensor: ...
    def step(self, ids: torch.Tensor) -> torch.Tensor: ...
    def keep(self, rows: torch.Tensor) -> None: ...


class GivenUp(Exception):  # noqa: N818 - no error
    """The writing was given up halfway, as was asked for."""


class RolloutEngine:
    """Writes completions with a model, which it leaves as it is."""

    def __init__(
        self,
        model: PreTrainedModel,
        end_ids: Collection[int],
        pad_id: int,
        device: torch.device,
        dtype: str,
        cache: Path | None = None,
    ) -> None:
        """
        Args:
            model: a causal language model of transformers, float32, on `device`.
            end_ids: tokens that end a completion.
            pad_id: token in front of short prompts; it is never seen.
            device: where to compute.
            dtype: `bfloat16`, `float16` or `float32`: of matrix products on a GPU. The CPU computes in float32.
            cache: folder that compiled GPU kernels are kept in; None: where Triton keeps them. TRITON_CACHE_DIR wins.
        """
        self.device = device
        self._positions: int | None = getattr(model.config, "max_position_embeddings", None)
        self._ends = torch.tensor(sorted(end_ids), dtype=torch.int64, device=device)
        precision: Any = getattr(torch, dtype) if device.type == "cuda" else torch.float32
        self._writer: Writer
        self._graphs: GraphDecoder | None = None
        if can_decode(model):
            self._writer = decoder = Decoder(model, device, precision)
            self._graphs = _graphs(decoder, end_ids, cache) if device.type == "cuda" else None
        else:
            self._writer = ForwardDecoder(model, pad_id, device, dtype)

    def refresh(self) -> None:
        """Take over the model's current weights, when they have changed. On the CPU every `generate` does it anyway."""
        self._writer.refresh()

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[np.ndarray],
        sampling: Sampling,
        noise: np.ndarray,
        stop: Callable[[], bool] = lambda: False,
    ) -> list[Completion]:
        """Complete prompts.

        Args:
            prompts: token ids, at least one each.
            sampling: how tokens are drawn, and how many at most.
            noise: [prompts, max_new_tokens] float64 from 0 up to 1: the number that decides each token (`draws`).
            stop: asked every few tokens whether to give up; not on a GPU, where all of it takes a second.

        Returns:
            A completion for each prompt, in their order.

        Raises:
            SettingsError: a prompt with its completion would be longer than the model has positions.
            GivenUp: `stop` said so.
        """
        if not prompts:
            return []
        self._check(prompts, sampling.max_new_tokens)
        assert noise.shape == (len(prompts), sampling.max_new_tokens), noise.shape
        if self.device.type == "cpu":
            self.refresh()
        if self._graphs:
            written = self._graphs.write(prompts, sampling, noise)
        else:
            with self._writer.writing():
                written = self._write(prompts, sampling, noise, stop)
        ids, logps = (tensor.cpu().numpy() for tensor in written)
        ending = np.isin(ids, self._ends.cpu().numpy())
        ended: Any = ending.any(axis=1)
        lengths = np.where(ended, ending.argmax(axis=1) + 1, sampling.max_new_tokens)
        return [
            Completion(ids[row, :length].copy(), logps[row, :length].copy(), bool(ended[row]))
            for row, length in enumerate(lengths.tolist())
        ]

    def _write(
        self, prompts: Sequence[np.ndarray], sampling: Sampling, noise: np.ndarray, stop: Callable[[], bool]
    ) -> tuple[torch.Tensor, ...]:
        """Tokens and their log-probabilities, each [prompts, max_new_tokens]; what follows an end token is void."""
        uniform = torch.from_numpy(noise).to(self.device)
        ids = torch.zeros(noise.shape, dtype=torch.int64, device=self.device)
        logps = torch.zeros(noise.shape, device=self.device)
        rows = torch.arange(len(prompts), device=self.device)
        going = torch.ones(len(prompts), dtype=torch.bool, device=self.device)
        logits = self._writer.begin(prompts, sampling.max_new_tokens)
        for place in range(sampling.max_new_tokens):
            chosen, logp = choose(logits, uniform[rows, place], sampling)
            ids[rows, place], logps[rows, place] = chosen, logp
            going &= ~torch.isin(chosen, self._ends)
            count = int(going.sum())
            if count == 0 or place + 1 == sampling.max_new_tokens:
                break
            if len(rows) - count >= LEAVE_SHARE * len(rows):
                kept = going.nonzero()[:, 0]
                self._writer.keep(kept)
                rows, chosen, going = rows[kept], chosen[kept], going[kept]
            if place % ASKED_EVERY == ASKED_EVERY - 1 and stop():
                raise GivenUp
            logits = self._writer.step(chosen)
        return ids, logps

    def _check(self, prompts: Sequence[np.ndarray], more: int) -> None:
        longest = max(map(len, prompts))
        if self._positions is not None and longest + more > self._positions:
            text = f"A prompt of {longest} tokens and {more} new ones are more than the {self._positions} positions of "
            text += "the model. Shorten the prompts, or generate fewer tokens."
            values = {"prompt": longest, "new": more, "positions": self._positions}
            raise SettingsError([Problem("", "beyond_positions", text, values)])


def _graphs(decoder: Decoder, end_ids: Collection[int], cache: Path | None) -> "GraphDecoder | None":
    if missing := missing_for_kernels():
        log.warning("Rollouts will be slow: their GPU kernels cannot be built. Install %s.", missing)
        return None
    if cache:
        os.environ.setdefault("TRITON_CACHE_DIR", str(cache.absolute()))
    # Imported here: Triton is there only where PyTorch is made for a GPU.
    from trainer.decoding_cuda import GraphDecoder, can_graph

    return GraphDecoder(decoder, end_ids) if can_graph(decoder.weights) else None
