"""The optimizer and the learning rate, as MiniMind has them (contract section 5)."""

import math

import torch

from trainer.batches import StepPlan
from trainer.configs import TrainConfig


def make_optimizer(model: torch.nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on all parameters, norms included, as in MiniMind."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def learning_rate(config: TrainConfig, plan: StepPlan, step: int) -> float:
    """Rate of the step that ends as step number `step` (from 1): lr · (0.1 + 0.45 · (1 + cos(π · t / T))).

    t counts forward passes, as upstream does, so that accumulation does not change the curve; T is the run's length.
    """
    done, total = plan.batches_done(step), plan.batches_done(plan.total_steps)
    rate = config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done / total)))
    return rate * min(1.0, step / config.warmup_steps) if config.warmup_steps else rate
