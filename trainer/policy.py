"""What GRPO and SPO minimise at the tokens of answers that the model wrote itself, and how a model scores answers.

objective = Policy("cispo", beta=0.1, temperature=0.8)
objective(model, batch).total
"""

from dataclasses import dataclass
from typing import Literal

import torch

from trainer.batches import Batch
from trainer.devices import autocast
from trainer.log_probs import token_log_probs
from trainer.losses import BatchLoss, label_logits
from trainer.names import Metric
from trainer.policy_losses import cispo, clipped, k3


@dataclass(frozen=True)
class Policy:
    """mean over answers of the mean over their tokens of: loss of the token + β · k3 (contract section 5)."""

    loss_type: Literal["cispo", "grpo", "plain"]
    """plain: −A · log π, as SPO."""
    beta: float
    temperature: float = 1.0
    epsilon: float = 0.2
    epsilon_high: float = 5.0

    def __call__(self, model: torch.nn.Module, batch: Batch) -> BatchLoss:
        """The loss of a batch of answers, with the extras `advantage`, `reference` unless β is 0, and `old`, the
        log-probabilities of the policy that wrote them; without `old` that is this very policy."""
        logps, aux = scored(model, batch, self.temperature)
        extras, share = batch.extras, batch.extras["share"]
        old = extras.get("old", logps.detach())
        each = self._tokens(logps, old, extras["advantage"])
        parts = figures(logps, batch)
        if self.beta:
            distance = k3(logps, extras["reference"])
            each = each + self.beta * distance
            parts[Metric.KL] = (distance.detach() * share).sum()
        if self.loss_type != "plain":
            parts[Metric.CLIP_FRACTION] = (self._limited(logps, old) * share).sum()
        return BatchLoss((each * share).sum(), aux, parts)

    def _tokens(self, logps: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
        if self.loss_type == "grpo":
            return clipped(logps, old, advantages, self.epsilon)
        if self.loss_type == "cispo":
            return cispo(logps, old, advantages, self.epsilon_high)
        return -advantages * logps

    def _limited(self, logps: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
        ratio = (logps.detach() - old).exp()
        return ((ratio - 1).abs() > self.epsilon if self.loss_type == "grpo" else ratio > self.epsilon_high).float()


def scored(model: torch.nn.Module, batch: Batch, temperature: float) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Log-probabilities of the tokens of answers [tokens] float32, and the load-balancing loss of a mixture."""
    logits, aux = label_logits(model, batch)
    return token_log_probs(logits, batch.targets, temperature), aux


def figures(logps: torch.Tensor, batch: Batch) -> dict[Metric, torch.Tensor]:
    """What is recorded whatever the loss: how far what is learned from differs from what was drawn with."""
    gap = (logps.detach() - batch.extras["behaviour"]).abs()
    return {Metric.LOGP_GAP: (gap * batch.extras["share"]).sum()}


@torch.no_grad()
def frozen_scores(
    model: torch.nn.Module, batch: Batch, temperature: float, device: torch.device, dtype: str
) -> torch.Tensor:
    """Log-probabilities [tokens], on the CPU, of a model that is not trained."""
    with autocast(device, dtype):
        return scored(model, batch.to(device), temperature)[0].cpu()
