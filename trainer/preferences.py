"""Direct preference optimisation: of two answers the better one becomes more likely, measured against a reference.

preference = Preference(beta=0.15, form="sum")
preference(model, batch).total
preference.measure(model, batch)
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from trainer.batches import Batch
from trainer.log_probs import answer_sums, token_log_probs
from trainer.losses import BatchLoss, label_logits
from trainer.names import Metric

TRAIN = {
    "accuracy": Metric.DPO_ACCURACY,
    "margin": Metric.DPO_MARGIN,
    "chosen_reward": Metric.DPO_CHOSEN_REWARD,
    "rejected_reward": Metric.DPO_REJECTED_REWARD,
    "chosen_logp": Metric.DPO_CHOSEN_LOGP,
    "rejected_logp": Metric.DPO_REJECTED_LOGP,
}
EVAL = {
    "loss": Metric.EVAL_LOSS,
    "accuracy": Metric.EVAL_ACCURACY,
    "margin": Metric.EVAL_MARGIN,
    "chosen_reward": Metric.EVAL_CHOSEN_REWARD,
    "rejected_reward": Metric.EVAL_REJECTED_REWARD,
    "chosen_logp": Metric.EVAL_CHOSEN_LOGP,
    "rejected_logp": Metric.EVAL_REJECTED_LOGP,
}


@dataclass(frozen=True)
class Preference:
    """mean(−log σ(β · Δ)), with Δ = (log π(chosen) − log π(rejected)) − the same of the reference, where log π is the
    sum over the labelled tokens, or their mean (contract section 5)."""

    beta: float
    form: Literal["sum", "mean"] = "sum"

    def __call__(self, model: torch.nn.Module, batch: Batch) -> BatchLoss:
        """The loss of a batch of pairs."""
        found, aux = self._figures(model, batch)
        return BatchLoss(found["loss"], aux, {metric: found[name].detach() for name, metric in TRAIN.items()})

    def measure(self, model: torch.nn.Module, batch: Batch) -> dict[Metric, torch.Tensor]:
        """The figures of held-out pairs."""
        found, _ = self._figures(model, batch)
        return {metric: found[name] for name, metric in EVAL.items()}

    def _figures(self, model: torch.nn.Module, batch: Batch) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
        sums, aux = answer_log_probs(model, batch)
        return preference_sums(sums, batch.extras["reference"], batch.extras["labels"], self.beta, self.form), aux


def answer_log_probs(model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What a model gives to the labelled tokens of each answer together, [2 · pairs] float32, and the load-balancing
    loss of a mixture of experts."""
    logits, aux = label_logits(model, batch)
    each = token_log_probs(logits, batch.targets)
    return answer_sums(each, batch.extras["answer_of"], len(batch.extras["labels"])), aux


def preference_sums(
    policy: torch.Tensor,
    reference: torch.Tensor,
    labels: torch.Tensor,
    beta: float,
    form: Literal["sum", "mean"] = "sum",
) -> dict[str, torch.Tensor]:
    """Loss and figures, each summed over the pairs.

    Args:
        policy: [2 · pairs] summed log-probabilities, those of the chosen answers first.
        reference: the same of the reference.
        labels: [2 · pairs] labelled tokens of each answer.
        beta: how much a difference to the reference counts.
        form: sum as in MiniMind v3, or mean over an answer's labelled tokens as in v2.

    Returns:
        loss, with gradient; accuracy, the pairs whose chosen answer has gained more than the rejected one, ties half;
        reward of each answer, β · (log π − log π_ref), and margin, their difference; and logp of each, the mean
        log-probability a labelled token, in either form.
    """
    length = labels if form == "mean" else torch.ones_like(labels)
    chosen, rejected = (beta * (policy - reference) / length).chunk(2)
    margin = chosen - rejected
    chosen_logp, rejected_logp = (policy / labels).chunk(2)
    return {
        "loss": -F.logsigmoid(margin).sum(),
        "accuracy": (margin.sign() + 1).sum() / 2,
        "margin": margin.sum(),
        "chosen_reward": chosen.sum(),
        "rejected_reward": rejected.sum(),
        "chosen_logp": chosen_logp.sum(),
        "rejected_logp": rejected_logp.sum(),
    }
