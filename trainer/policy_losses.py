"""Losses of the types that learn from rewards, for each token or answer of a flat list (contract section 5).

A is the advantage, ρ = π / π_old, and k3 = e^d − d − 1 with d = log π_ref − log π, an estimate of the distance to the
reference that is never negative (http://joschu.net/blog/kl-approx.html).
"""

from typing import Literal

import torch


def k3(logps: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Distance to the reference at each token, [tokens]."""
    d = reference - logps
    return d.exp() - d - 1


def clipped(logps: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, epsilon: float) -> torch.Tensor:
    """−min(ρA, clip(ρ, 1 ± ε) A), the loss of PPO and GRPO (arXiv:1707.06347, eq. 7), [tokens] or [answers]."""
    ratio = (logps - old).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - epsilon, 1 + epsilon) * advantages)


def cispo(logps: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, epsilon_high: float) -> torch.Tensor:
    """−min(ρ, ε_high) · A · log π, where ρ only weighs (arXiv:2506.13585, eq. 4), [tokens]."""
    weight = (logps - old).exp().clamp(max=epsilon_high).detach()
    return -weight * advantages * logps


def grpo_tokens(
    loss_type: Literal["grpo", "cispo"],
    logps: torch.Tensor,
    old: torch.Tensor,
    advantages: torch.Tensor,
    epsilon: float,
    epsilon_high: float,
) -> torch.Tensor:
    """The loss of each token, without the distance to the reference."""
    if loss_type == "grpo":
        return clipped(logps, old, advantages, epsilon)
    return cispo(logps, old, advantages, epsilon_high)


def clipped_value(values: torch.Tensor, old: torch.Tensor, returns: torch.Tensor, limit: float) -> torch.Tensor:
    """½ max((V − R)², (clip(V, V_old ± limit) − R)²), [tokens]."""
    near = torch.clamp(values, old - limit, old + limit)
    return 0.5 * torch.maximum((values - returns) ** 2, (near - returns) ** 2)
