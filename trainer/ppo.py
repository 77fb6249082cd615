"""PPO: each token is judged against what a critic expected, and the answers of a step are learned from several times
(contract section 5)."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from trainer.advantages import WHITEN_EPSILON, generalised_advantages
from trainer.attention import PACKED
from trainer.batches import Batch
from trainer.critic import ActorCritic, Critic, last_tokens
from trainer.devices import autocast, pick_device
from trainer.errors import BaseModelError
from trainer.experience import Answer
from trainer.experts import use_grouped_experts
from trainer.names import Metric
from trainer.rl_config import PPOConfig
from trainer.rollout_loop import RolloutLoop
from trainer.session import Session
from trainer.supervised import Parts
from trainer.window import StepResult


class Judged(NamedTuple):
    """An answer with what its tokens are learned with, each float [tokens]."""

    answer: Answer
    columns: dict[str, np.ndarray]


class PPOLoop(RolloutLoop):
    """`ppo_update_iters` passes over the answers of a step, in small batches."""

    update_name = "An update of step {step}"

    def __init__(self, config: PPOConfig, session: Session, parts: Parts, reference: PreTrainedModel | None) -> None:
        self.ppo = config
        torch.manual_seed(config.seed)
        self.critic = Critic(parts.model)
        if config.packing:
            self.critic.body.set_attn_implementation(PACKED)
        self.critic.to(pick_device(config.device, session.ranks))
        super().__init__(config, session, parts, reference, ActorCritic(self.critic, config))
        if config.gradient_checkpointing:
            self.critic.body.gradient_checkpointing_enable()
        use_grouped_experts(self.critic.body, self.device, config.dtype)
        self._share = config.critic_learning_rate / config.learning_rate
        self.optimizer.add_param_group({"params": list(self.critic.parameters()), "share": self._share})

    # What to learn from ---------------------------------------------------------------------------------------------

    def prepare(self, groups: list[list[Answer]]) -> list[Judged]:
        """The answers with the critic's opinion, advantages and returns."""
        found = [judged for answers in groups if answers for judged in self._opinions(answers)]
        if self.ppo.advantage_level == "token":
            self._whiten(found)
        for answer, columns in found:
            answer.advantage = float(columns["advantage"].mean())
        return found

    def _opinions(self, answers: list[Answer]) -> list[Judged]:
        batch = self.compared(answers, {})
        sizes = [len(answer) for answer in answers]
        columns = {name: batch.extras[name] for name in ("reference", "old") if name in batch.extras}
        if "old" not in columns:  # drawn from some tokens only: what is learned from is the policy over all
            columns["old"] = self.scores(self.model, batch)
        whole = self.ppo.advantage_level == "sequence"
        values = self._values(batch, batch.predict_at[last_tokens(batch)] + 1 if whole else batch.predict_at)
        each = values.split([1] * len(answers) if whole else sizes)
        split = {name: tensor.split(sizes) for name, tensor in columns.items()}
        found = []
        for index, (answer, value) in enumerate(zip(answers, each, strict=True)):
            kept = {name: parts[index].numpy() for name, parts in split.items()}
            found.append(Judged(answer, kept | self._judged(answer, value.double().numpy())))
        return found

    def _judged(self, answer: Answer, values: np.ndarray) -> dict[str, np.ndarray]:
        if self.ppo.advantage_level == "sequence":
            same = {"advantage": answer.reward - values[0], "return": answer.reward, "value": values[0]}
            return {name: np.full(len(answer), value) for name, value in same.items()}
        advantages, returns = generalised_advantages(answer.reward, values, self.ppo.gamma, self.ppo.lam)
        return {"advantage": advantages, "return": returns, "value": values}

    @torch.no_grad()
    def _values(self, batch: Batch, at: torch.Tensor) -> torch.Tensor:
        with autocast(self.device, self.config.dtype):
            return self.critic(batch.to(self.device), at.to(self.device)).float().cpu()

    def _whiten(self, found: list[Judged]) -> None:
        """Bring the advantages of all tokens of the step to mean 0 and spread 1."""
        spread = self.spread([columns["advantage"] for _, columns in found])
        scale = (spread.std() ** 2 + WHITEN_EPSILON) ** 0.5
        for _, columns in found:
            columns["advantage"] = (columns["advantage"] - spread.mean) / scale

    # Updates --------------------------------------------------------------------------------------------------------

    def improve(self, prepared: list[Any]) -> StepResult:
        """Learn from small batches of the answers, until all passes are done or the model has moved too far."""
        found: list[Judged] = prepared
        results: list[StepResult] = []
        last: StepResult | None = None
        for places in self._mini_batches():
            batch = self._batch_at([judged for judged in found if judged.answer.place in places])
            count, tokens = map(int, self.ranks.totals([batch.count, batch.tokens]))
            if not count:
                continue
            loss, sums = self._backward([batch], count)
            if results and self._too_far(sums[Metric.APPROX_KL]):
                self.optimizer.zero_grad(set_to_none=True)
                break
            skipped = self._skipped
            last = StepResult(self.step + 1, loss, self._apply(loss), count, tokens, sums)
            if self._skipped <= skipped:
                results.append(last)
        return self._together(results, last, [judged.answer for judged in found])

    def _mini_batches(self) -> list[set[int]]:
        """The places of the answers of each small batch, the same in all processes."""
        count = sum(len(rows) for rows in self.plan.step_rows(self.step))
        found = []
        for number in range(self.ppo.ppo_update_iters):
            order = np.random.default_rng([self.config.seed, self.step, number]).permutation(count)
            size = self.ppo.mini_batch_size
            found += [set(order[first : first + size].tolist()) for first in range(0, count, size)]
        return found

    def _batch_at(self, judged: list[Judged]) -> Batch:
        """A batch of answers that counts what is judged: tokens, or answers."""
        names = ["advantage", "return", "value", "old"] + ["reference"] * (self.reference is not None)
        columns = {name: [each.columns[name] for each in judged] for name in names}
        batch = self.batch_of([each.answer for each in judged], columns)
        return batch if self.ppo.advantage_level == "sequence" else replace(batch, count=len(batch.targets))

    def _too_far(self, moved: torch.Tensor) -> bool:
        if not self.ppo.early_stop_kl:
            return False
        return float(self.ranks.total(moved.double().cpu())) > self.ppo.early_stop_kl

    def _together(self, results: list[StepResult], last: StepResult | None, answers: list[Answer]) -> StepResult:
        """The updates of a step as one: means over what they count; zeros if none was made."""
        sizes = [float(len(answers)), float(sum(len(a.prompt.ids) + len(a) for a in answers))]
        count, tokens = map(int, self.ranks.totals(sizes))
        nothing = torch.zeros((), device=self.device)
        if not results:
            parts = dict.fromkeys(last.parts, nothing) if last else {}
            parts[Metric.UPDATES] = torch.zeros(())  # on the CPU, as in steps with updates: a window stacks them
            return StepResult(self.step + 1, nothing, nothing, max(count, 1), tokens, parts)
        whole = sum(r.count for r in results)

        def mean(values: list[torch.Tensor]) -> torch.Tensor:
            return sum((v * (r.count / whole) for v, r in zip(values, results, strict=True)), nothing)

        parts = {name: mean([r.parts[name] for r in results]) for name in results[0].parts}
        parts[Metric.LOGP_GAP] = results[0].parts[Metric.LOGP_GAP]  # before the first update: what was drawn with
        parts[Metric.UPDATES] = torch.tensor(float(len(results)) if self.ranks.first else 0.0)
        loss, norm = mean([r.loss for r in results]), mean([r.grad_norm for r in results])
        return StepResult(self.step + 1, loss, norm, count, tokens, parts)

    def _clip(self, limit: float) -> torch.Tensor:
        """Policy and critic each to the norm by itself. A critic without a finite norm must not go unnoticed."""
        critic = torch.nn.utils.clip_grad_norm_(self.critic.parameters(), limit)
        return super()._clip(limit) + 0 * critic

    def own_state(self) -> dict[str, Any]:
        """The critic."""
        return {"critic": self.critic.state_dict()}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Put the critic back, with the rate of the settings.

        Raises:
            BaseModelError: it has another size.
        """
        self.optimizer.param_groups[-1]["share"] = self._share
        try:
            self.critic.load_state_dict(state["critic"])
        except RuntimeError as error:
            raise BaseModelError(
                f"The critic in the checkpoint does not fit this model: {str(error).splitlines()[1].strip()[:200]}",
                "Resume with the settings of the task, or start a new task from the checkpoint.",
            ) from error
