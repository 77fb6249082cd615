"""The optimizer and the learning rate, as MiniMind has them (contract section 5), and how much of a GPU they use."""

import math

import torch
from transformers import PreTrainedModel

from trainer.batches import StepPlan
from trainer.configs import TrainConfig
from trainer.data import DataReport
from trainer.devices import peak_flops
from trainer.models import parameter_count, trainable_count
from trainer.ranks import Ranks
from trainer.sizes import flops_per_token, sizes_of_folder


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


def peak_share(model: PreTrainedModel, data: DataReport, device: torch.device, ranks: Ranks) -> float | None:
    """Share of the peak of all GPUs that one token a second uses (model FLOPs utilisation, arXiv:2204.02311, app. B);
    None where we do not know it."""
    peak = peak_flops(device)
    if peak is None or model.config.model_type not in ("qwen2", "qwen3", "qwen3_moe", "llama"):
        return None
    length = round(data.tokens / max(1, data.rows))
    # A third of the work is the gradients of the weights, which frozen ones do not need.
    work = (2 + trainable_count(model) / parameter_count(model)) / 3
    return work * flops_per_token(sizes_of_folder(model.config.to_dict()), length) / (peak * ranks.count)
