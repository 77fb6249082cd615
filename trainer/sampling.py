"""Drawing tokens: one uniform number decides each token, by the inverse of the cumulative distribution.

noise = draws(seed=1, step=7, first=0, count=8, length=64)
ids, logps = choose(logits, torch.from_numpy(noise[:, 0]), Sampling(64, temperature=0.8))
"""

from dataclasses import dataclass

import numpy as np
import torch

BLOCK = 64
"""Tokens whose probabilities are summed before the sums are searched: 100 + 64 numbers instead of 6,400 in a row."""


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn."""

    max_new_tokens: int
    temperature: float = 1.0
    """0: always the likeliest token."""
    top_k: int = 0
    """Draw from so many of the likeliest tokens; 0: from all. What is as likely as the last of them stays too."""
    top_p: float = 1.0
    """Draw from the fewest of the likeliest tokens that have this probability together, after temperature and `top_k`;
    1: from all."""


def draws(seed: int, step: int, first: int, count: int, length: int) -> np.ndarray:
    """The noise of sequences `first` to `first` + `count` - 1 of a step: each has a generator of its own, so that it is
    the same wherever the sequence is computed.

    Returns:
        [count, length] float64, from 0 up to 1, which is left out.
    """
    rows = [np.random.default_rng([seed, step, index]).random(length) for index in range(first, first + count)]
    return np.stack(rows) if rows else np.empty((0, length))


def choose(logits: torch.Tensor, noise: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """The next token of each row, and its log-probability under the very distribution that it was drawn from.

    Args:
        logits: [rows, vocabulary]; they may be written over, because copies of this size cost as much as the rest.
        noise: [rows], from 0 up to 1.
        sampling: temperature and truncation; of temperature 0, log-probabilities are those of temperature 1.

    Returns:
        ids [rows] int64, log-probabilities [rows] float32.
    """
    logits = logits.float()
    if sampling.temperature == 0:
        chosen = logits.argmax(-1, keepdim=True)
        return chosen[:, 0], (logits.gather(1, chosen) - logits.logsumexp(-1, keepdim=True))[:, 0]
    scores = logits.sub_(logits.amax(-1, keepdim=True))
    if sampling.temperature != 1:
        scores /= sampling.temperature
    if 0 < sampling.top_k < scores.shape[-1]:
        least = scores.topk(sampling.top_k).values[:, -1:]
        scores.masked_fill_(scores < least, -torch.inf)
    if sampling.top_p < 1:
        scores.masked_fill_(scores < _least_of_nucleus(scores, sampling.top_p), -torch.inf)
    weights = scores.exp_()
    chosen, total = _inverse(weights, noise)
    return chosen, (weights.gather(1, chosen[:, None])[:, 0] / total).log()


def _least_of_nucleus(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """The lowest logit [rows, 1] among the fewest tokens that have `top_p` together."""
    falling = logits.sort(descending=True).values
    before = falling.softmax(-1).cumsum(-1).roll(1, -1)  # what the likelier tokens have together
    before[:, 0] = 0
    count = (before < top_p).sum(-1, keepdim=True)
    return falling.gather(1, count - 1)


def _inverse(weights: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The first token [rows] up to which the weights [rows, vocabulary] reach the share `noise` of their sum, and that
    sum [rows]. A token without weight is never chosen."""
    rows, size = weights.shape
    if size % BLOCK:
        weights = torch.nn.functional.pad(weights, (0, BLOCK - size % BLOCK))
    blocks = weights.view(rows, -1, BLOCK)
    reached = blocks.sum(-1).double().cumsum(-1)
    block, rest = _first_above(reached, noise.double() * reached[:, -1])
    inside = blocks[torch.arange(rows, device=weights.device), block].double().cumsum(-1)
    token, _ = _first_above(inside, rest)
    return block * BLOCK + token, reached[:, -1].float()


def _first_above(reached: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Index [rows] of the first of the growing sums [rows, n] above a target [rows], and what of the target is left
    there. Rounding may put the target at the last sum, above which is none: then it is moved just below."""
    last = reached[:, -1]
    target = torch.minimum(target, torch.nextafter(last, torch.zeros_like(last)))
    index = (reached <= target[:, None]).sum(-1)
    before = torch.where(index > 0, reached.gather(1, (index - 1).clamp_min(0)[:, None])[:, 0], 0.0)
    return index, target - before
