"""Losses of the training types, as sums over tokens: the loop divides by the tokens of the whole step."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F

from trainer.batches import Batch
from trainer.devices import autocast
from trainer.names import Metric
from trainer.ranks import Ranks


@dataclass(frozen=True)
class BatchLoss:
    """What an objective makes of one forward pass. Sums are over what the batch counts: labelled tokens, pairs or
    sequences; the step divides them by the count of all its batches."""

    total: torch.Tensor
    """Sum, float32, with gradient."""
    aux: torch.Tensor | None = None
    """Mean load-balancing loss of a mixture of experts, with its weight and gradient."""
    parts: dict[Metric, torch.Tensor] = field(default_factory=dict)
    """Further sums, without gradient, that become curves of their own."""


class Objective(Protocol):
    """What a training type minimises."""

    def __call__(self, model: torch.nn.Module, batch: Batch) -> BatchLoss:
        """The loss of a batch; `model` may be compiled."""
        ...


Measure = Callable[[torch.nn.Module, Batch], dict[Metric, torch.Tensor]]
"""What is measured on held-out rows, as sums over what a batch counts; `Metric.EVAL_LOSS` is among it."""


def next_token_loss(model: torch.nn.Module, batch: Batch) -> BatchLoss:
    """Cross-entropy of the labelled tokens (contract section 1), and the load-balancing loss of a mixture."""
    logits, aux = label_logits(model, batch)
    return BatchLoss(F.cross_entropy(logits.float(), batch.targets, reduction="sum"), aux)


def held_out_loss(model: torch.nn.Module, batch: Batch) -> dict[Metric, torch.Tensor]:
    """Cross-entropy of held-out rows, as a sum over the labelled tokens."""
    return {Metric.EVAL_LOSS: next_token_loss(model, batch).total}


def weighted_token_loss(model: torch.nn.Module, batch: Batch) -> BatchLoss:
    """As `next_token_loss` with a weight for each token, divided by the tokens and not by their weights, as MiniMind
    does (contract section 5); the plain cross-entropy beside it."""
    assert batch.weights is not None  # the rows of this type have them
    logits, aux = label_logits(model, batch)
    each = F.cross_entropy(logits.float(), batch.targets, reduction="none")
    return BatchLoss((each * batch.weights).sum(), aux, {Metric.CE_LOSS: each.detach().sum()})


def label_logits(model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The logits that predict the labelled tokens, and the load-balancing loss.

    Only the hidden states that predict a labelled token go through the output layer: at small widths that layer and
    the softmax over the vocabulary are most of a step.

    Returns:
        [targets, vocabulary] in the precision of the forward pass; and the mean load-balancing loss with its weight,
        or None.
    """
    more: dict[str, Any] = {}
    moe = getattr(model.config, "model_type", "") == "qwen3_moe"
    if moe:
        more["output_router_logits"] = True
    if batch.packed:
        more |= {"document_bounds": batch.bounds, "longest_document": batch.longest, "logits_to_keep": batch.predict_at}
    out = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False, **more)
    logits = out.logits.flatten(0, 1)
    if not batch.packed:
        logits = logits[batch.predict_at]
    return logits, load_balancing_loss(out.router_logits, model.config) if moe else None


def load_balancing_loss(router_logits: tuple[torch.Tensor, ...], config: object) -> torch.Tensor:
    """Auxiliary loss of v3's mixture of experts, summed over layers (contract section 1):
    coef · E · Σ_e load_e · mean(p_e), where load is the share of the tokens (and of their k choices) at expert e.

    transformers' own function averages over the layers instead, so that it cannot be used here.

    Args:
        router_logits: a layer each, [tokens, experts].
        config: the model's config.
    """
    experts, k = config.num_experts, config.num_experts_per_tok  # type: ignore[attr-defined]
    total = router_logits[0].new_zeros((), dtype=torch.float32)
    for logits in router_logits:
        probabilities = logits.float().softmax(dim=-1)
        chosen = probabilities.topk(k, dim=-1).indices
        load = F.one_hot(chosen, experts).float().mean(dim=0).sum(dim=0)
        total = total + (load * probabilities.mean(dim=0)).sum()
    return total * experts * config.router_aux_loss_coef  # type: ignore[attr-defined]


@torch.no_grad()
def evaluate(
    measure: Measure,
    model: torch.nn.Module,
    batches: Iterable[Batch],
    device: torch.device,
    dtype: str,
    ranks: Ranks,
) -> dict[Metric, float]:
    """Means of what is measured, over the batches of all processes. Leaves no trace in the model."""
    training = model.training
    model.eval()
    sums: dict[Metric, torch.Tensor] = {}
    count = 0
    for batch in batches:
        with autocast(device, dtype):
            found = measure(model, batch.to(device))
        for name, value in found.items():
            sums[name] = sums.get(name, torch.zeros((), device=device, dtype=torch.float64)) + value
        count += batch.count
    model.train(training)
    *totals, whole = ranks.totals([*(float(value) for value in sums.values()), count])
    return {name: value / whole for name, value in zip(sums, totals, strict=True)}
