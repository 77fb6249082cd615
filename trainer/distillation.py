"""White-box distillation: a student learns the data and, at each token, what a teacher thinks of every other token.

objective = Distillation(teacher, alpha=0.5, temperature=1.5)
objective(student, batch).total
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from trainer.batches import Batch
from trainer.losses import BatchLoss, label_logits
from trainer.names import Metric

CHUNK = 2**25
"""Logits that are taken at once: 128 MB in float32, of which a loss over a vocabulary holds several copies."""


class Distillation:
    """α · CE + (1 − α) · T² · KL(teacher ‖ student) at the labelled tokens (contract section 5)."""

    def __init__(self, teacher: torch.nn.Module, alpha: float, temperature: float) -> None:
        """`teacher` must be frozen, in evaluation mode and where the batches are."""
        self.teacher, self.alpha, self.temperature = teacher, alpha, temperature

    def __call__(self, model: torch.nn.Module, batch: Batch) -> BatchLoss:
        """The loss of a batch. As in MiniMind, α weighs the load-balancing loss of the student too."""
        with torch.no_grad():
            wanted, _ = label_logits(self.teacher, batch)
        logits, aux = label_logits(model, batch)
        ce, kl = distillation_sums(logits, wanted, batch.targets, self.temperature)
        total = self.alpha * ce + (1 - self.alpha) * kl
        parts = {Metric.CE_LOSS: ce.detach(), Metric.KL_LOSS: kl.detach()}
        return BatchLoss(total, None if aux is None else self.alpha * aux, parts)


def distillation_sums(
    logits: torch.Tensor, wanted: torch.Tensor, targets: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy and T² · KL(teacher ‖ student), each summed over tokens in float32, with gradient to the student.

    Args:
        logits: the student's, [tokens, vocabulary].
        wanted: the teacher's, [tokens, vocabulary or more]; what it has more is cut off.
        targets: [tokens] the right tokens.
        temperature: T; both distributions are softened by it.
    """
    wanted = wanted[:, : logits.shape[1]]
    rows = max(1, CHUNK // logits.shape[1])
    if len(logits) <= rows:
        return _sums(logits, wanted, targets, temperature)
    pieces: list[Any] = [
        # What float32 needs is made again in the backward pass, instead of kept for all tokens.
        checkpoint(_sums, z, w, t, temperature, use_reentrant=False, preserve_rng_state=False)
        for z, w, t in zip(logits.split(rows), wanted.split(rows), targets.split(rows), strict=True)
    ]
    return torch.stack([ce for ce, _ in pieces]).sum(), torch.stack([kl for _, kl in pieces]).sum()


def _sums(
    logits: torch.Tensor, wanted: torch.Tensor, targets: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    logits, wanted = logits.float(), wanted.float()
    ce = F.cross_entropy(logits, targets, reduction="sum")
    ours = F.log_softmax(logits / temperature, dim=-1)
    theirs = F.log_softmax(wanted / temperature, dim=-1)
    return ce, temperature**2 * F.kl_div(ours, theirs, reduction="sum", log_target=True)
