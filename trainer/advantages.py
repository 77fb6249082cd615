"""How good an answer was for what could be expected: the advantages that policies learn from (contract section 5)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GROUP_EPSILON = 1e-4
"""Added to a spread of rewards, as in MiniMind, so that equal rewards give 0."""
WHITEN_EPSILON = 1e-8
MOST = 10.0
"""Advantages beyond are cut where MiniMind v2's form is asked for."""


def group_advantages(groups: Sequence[np.ndarray], v2: bool = False) -> list[np.ndarray]:
    """(r − mean) / (std + 1e-4) in each group of answers to one prompt.

    Args:
        groups: rewards of each group.
        v2: with the unbiased spread and cut at ±10, as MiniMind v2; its second step, `whitened` over the batch, is the
            caller's.

    Returns:
        float64 arrays like the groups; 0 in groups of one answer.
    """
    found = []
    for rewards in groups:
        if len(rewards) < 2:
            found.append(np.zeros(len(rewards)))
            continue
        spread = rewards.std(ddof=1 if v2 else 0)
        each = (rewards - rewards.mean()) / (spread + GROUP_EPSILON)
        found.append(np.clip(each, -MOST, MOST) if v2 else each)
    return found


@dataclass(frozen=True)
class Spread:
    """Count, sum and sum of squares of some numbers, which add up over processes."""

    count: float
    total: float
    squares: float

    @classmethod
    def of(cls, values: Sequence[np.ndarray]) -> "Spread":
        """Of all numbers of some arrays."""
        every = np.concatenate([*values, np.empty(0)])
        return cls(len(every), float(every.sum()), float((every**2).sum()))

    @property
    def mean(self) -> float:
        """Their mean; 0 if there are none."""
        return self.total / max(self.count, 1)

    def std(self, unbiased: bool = False) -> float:
        """Their standard deviation."""
        centred = max(self.squares - self.count * self.mean**2, 0.0)
        return math.sqrt(centred / max(self.count - unbiased, 1))


def generalised_advantages(
    reward: float, values: np.ndarray, gamma: float, lam: float
) -> tuple[np.ndarray, np.ndarray]:
    """Advantages and returns of the tokens of one answer (GAE, arXiv:1506.02438, eq. 16): the whole reward falls on the
    last token, and nothing is expected after it.

    Args:
        reward: of the answer.
        values: [tokens] what the critic expects at each.
        gamma: what a reward is worth one token earlier.
        lam: λ.

    Returns:
        A and R = A + V, each float64 [tokens].
    """
    advantages = np.zeros(len(values))
    following, after = 0.0, 0.0
    for t in range(len(values) - 1, -1, -1):
        gain = reward if t == len(values) - 1 else 0.0
        following = gain + gamma * after - values[t] + gamma * lam * following
        advantages[t], after = following, values[t]
    return advantages, advantages + values


@dataclass
class ValueTracker:
    """What the model usually gets, as a Beta distribution that forgets the faster the more the policy moves (SPO,
    arXiv:2509.13232). Rewards from −3 to 3 are taken as 0 to 1; those beyond count as the limits."""

    alpha: float = 1.0
    beta: float = 1.0
    last_logp: float | None = None
    """Mean log-probability at the last update; None before the first."""

    SCALE = 3.0
    FORGET = 0.06
    """Change of the mean log-probability at which half is forgotten."""
    LEAST, MOST, FIRST = 0.5, 0.96, 0.9

    @property
    def baseline(self) -> float:
        """The reward to expect."""
        return 2 * self.SCALE * self.alpha / (self.alpha + self.beta) - self.SCALE

    def advantages(self, rewards: np.ndarray) -> np.ndarray:
        """Reward − baseline, cut at ±5 as in MiniMind."""
        return np.clip(rewards - self.baseline, -5, 5)

    def update(self, mean_reward: float, mean_logp: float) -> float:
        """Take in the rewards of a batch.

        Args:
            mean_reward: of its answers, each cut to ±3 before.
            mean_logp: mean log-probability of their tokens.

        Returns:
            The share that was kept of what was known.
        """
        if self.last_logp is None:
            kept = self.FIRST
        else:
            kept = float(np.clip(2 ** (-abs(self.last_logp - mean_logp) / self.FORGET), self.LEAST, self.MOST))
        won = (mean_reward + self.SCALE) / (2 * self.SCALE)
        self.alpha = kept * self.alpha + won
        self.beta = kept * self.beta + 1 - won
        self.last_logp = mean_logp
        return kept
