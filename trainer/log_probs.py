"""Log-probabilities of tokens and of whole answers, in memory that does not grow with the vocabulary times the tokens.

each = token_log_probs(logits, targets)
answer_sums(each, answer_of, answers=8)
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

CHUNK = 2**25
"""Logits that are taken at once: 128 MB in float32, of which a softmax over a vocabulary holds several copies."""


def token_log_probs(logits: torch.Tensor, targets: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """The log-probability of each token, float32, with gradient.

    Args:
        logits: [tokens, vocabulary], in any precision.
        targets: [tokens] the tokens that follow.
        temperature: what the logits are divided by.
    """
    rows = max(1, CHUNK // logits.shape[1])
    if len(logits) <= rows:
        return _log_probs(logits, targets, temperature)
    pieces: list[Any] = [
        # What float32 needs is made again in the backward pass, instead of kept for all tokens.
        checkpoint(_log_probs, some, wanted, temperature, use_reentrant=False, preserve_rng_state=False)
        for some, wanted in zip(logits.split(rows), targets.split(rows), strict=True)
    ]
    return torch.cat(pieces)


def answer_sums(log_probs: torch.Tensor, answer_of: torch.Tensor, answers: int) -> torch.Tensor:
    """The sum over each answer's tokens.

    Args:
        log_probs: [tokens] of all answers.
        answer_of: [tokens] which answer each belongs to.
        answers: how many there are.

    Returns:
        [answers] float32.
    """
    return log_probs.new_zeros(answers).index_add(0, answer_of, log_probs)


def _log_probs(logits: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
    return -F.cross_entropy(logits.float() / temperature, targets, reduction="none")
