"""The critic of PPO and what PPO minimises: policy and critic in one pass (contract section 5).

critic = Critic(model)
objective = ActorCritic(critic, config)
objective(model, batch).total
"""

import copy
from typing import Any

import torch
from transformers import PreTrainedModel

from trainer.batches import Batch
from trainer.losses import BatchLoss
from trainer.names import Metric
from trainer.policy import figures, scored
from trainer.policy_losses import clipped, clipped_value, k3
from trainer.rl_config import PPOConfig


class Critic(torch.nn.Module):
    """A copy of a model that tells, at each token, the reward to expect."""

    def __init__(self, model: PreTrainedModel, norms: int = 1) -> None:
        """
        Args:
            model: what it begins from.
            norms: how often the last hidden states are normalised; MiniMind does it twice by mistake.
        """
        super().__init__()
        self.body: Any = copy.deepcopy(model.get_decoder())
        self.head = torch.nn.Linear(model.config.hidden_size, 1)
        torch.nn.init.zeros_(self.head.weight)  # a critic that knows nothing expects nothing
        torch.nn.init.zeros_(self.head.bias)
        self._norms = norms

    def forward(self, batch: Batch, at: torch.Tensor) -> torch.Tensor:
        """What is expected at places of the flattened input, float32."""
        more: dict[str, Any] = {}
        if batch.packed:
            more = {"document_bounds": batch.bounds, "longest_document": batch.longest}
        out = self.body(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False, **more)
        hidden = out.last_hidden_state.flatten(0, 1)[at]
        for _ in range(1, self._norms):
            hidden = self.body.norm(hidden)
        return self.head(hidden)[:, 0].float()


def last_tokens(batch: Batch) -> torch.Tensor:
    """Which of the tokens of a batch of answers is the last of its answer, [tokens] bool."""
    owner = batch.extras["answer"]
    return torch.cat([owner[1:] != owner[:-1], owner.new_ones(len(owner[:1]), dtype=torch.bool)])


class ActorCritic(torch.nn.Module):
    """Policy loss + vf_coef · value loss + kl_coef · distance to the reference, of tokens or of whole answers.

    A module, so that several processes exchange the gradients of the critic too."""

    def __init__(self, critic: Critic, config: PPOConfig) -> None:
        super().__init__()
        self.critic, self.config = critic, config

    def forward(self, model: torch.nn.Module, batch: Batch) -> BatchLoss:
        """The loss of a batch of answers with the extras `advantage`, `old`, `value`, `return` and, unless kl_coef is
        0, `reference`, each [tokens]. The batch counts what is judged: tokens, or answers."""
        logps, aux = scored(model, batch, self.config.rollout_temperature)
        if self.config.advantage_level == "sequence":
            return self._answers(logps, aux, batch)
        extras, config = batch.extras, self.config
        old = extras["old"]
        values = self.critic(batch, batch.predict_at)
        policy = clipped(logps, old, extras["advantage"], config.clip_epsilon)
        value = clipped_value(values, extras["value"], extras["return"], config.cliprange_value)
        moved = 0.5 * (logps.detach() - old) ** 2
        limited = ((logps.detach() - old).exp() - 1).abs() > config.clip_epsilon
        total = policy + config.vf_coef * value
        parts = {
            Metric.POLICY_LOSS: policy.detach(),
            Metric.VALUE_LOSS: value.detach(),
            Metric.APPROX_KL: moved,
            Metric.CLIP_FRACTION: limited.float(),
            Metric.LOGP_GAP: (logps.detach() - extras["behaviour"]).abs(),
        }
        if config.kl_coef:
            distance = k3(logps, extras["reference"])
            total = total + config.kl_coef * distance
            parts[Metric.KL] = distance.detach()
        return BatchLoss(total.sum(), aux, {name: each.sum() for name, each in parts.items()})

    def _answers(self, logps: torch.Tensor, aux: torch.Tensor | None, batch: Batch) -> BatchLoss:
        """MiniMind v2's form: the probabilities of whole answers, judged by the critic at their last token."""
        extras, config, count = batch.extras, self.config, batch.count
        owner, last = extras["answer"], last_tokens(batch)

        def whole(each: torch.Tensor) -> torch.Tensor:
            return each.new_zeros(count).index_add(0, owner, each)

        values = self.critic(batch, batch.predict_at[last] + 1)
        moved = whole(logps - extras["old"])
        policy = clipped(moved, torch.zeros_like(moved), extras["advantage"][last], config.clip_epsilon)
        value = (values - extras["return"][last]) ** 2
        total = policy + config.vf_coef * value
        parts = {
            Metric.POLICY_LOSS: policy.detach().sum(),
            Metric.VALUE_LOSS: value.detach().sum(),
            Metric.APPROX_KL: moved.detach().square().sum() / 2,
            Metric.CLIP_FRACTION: ((moved.detach().exp() - 1).abs() > config.clip_epsilon).float().sum(),
        }
        if config.kl_coef:
            distance = whole(logps - extras["reference"])
            total = total + config.kl_coef * distance
            parts[Metric.KL] = distance.detach().sum()
        return BatchLoss(total.sum(), aux, parts | figures(logps, batch))
