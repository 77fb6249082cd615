"""SPO: one answer to each prompt, judged against a running estimate of what the model gets (contract section 5)."""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from trainer.advantages import ValueTracker
from trainer.batches import Batch
from trainer.experience import Answer
from trainer.names import Metric
from trainer.policy import Policy
from trainer.rl_config import SPOConfig
from trainer.rollout_loop import RolloutLoop
from trainer.session import Session
from trainer.supervised import Parts
from trainer.window import StepResult


class SPOLoop(RolloutLoop):
    """One update from the answers of a step; the tracker learns from each of its batches."""

    def __init__(self, config: SPOConfig, session: Session, parts: Parts, reference: PreTrainedModel | None) -> None:
        super().__init__(config, session, parts, reference, Policy("plain", config.beta, config.rollout_temperature))
        self.tracker = ValueTracker()

    def prepare(self, groups: list[list[Answer]]) -> list[Batch]:
        """A batch of answers each, with their advantages."""
        parts = iter(groups)
        for count in self.plan.parts(self.step):  # the tracker learns from whole batches, however they are cut up
            answers = [answer for _ in range(count) for answer in next(parts)]
            rewards = np.array([answer.reward for answer in answers])
            for answer, advantage in zip(answers, self.tracker.advantages(rewards), strict=True):
                answer.advantage = float(advantage)
            self._track(answers, rewards)
        return self.advantage_batches(groups)

    def _track(self, answers: list[Answer], rewards: np.ndarray) -> None:
        logps = [answer.completion.logps for answer in answers]
        cut = np.clip(rewards, -ValueTracker.SCALE, ValueTracker.SCALE)
        sums = [cut.sum(), len(cut), sum(float(each.sum()) for each in logps), sum(map(len, logps))]
        reward, count, logp, tokens = self.ranks.totals([float(value) for value in sums])
        if count:
            self.tracker.update(reward / count, logp / tokens)

    def improve(self, prepared: list[Any]) -> StepResult:
        """Update the model, and record what is expected of it now."""
        result = super().improve(prepared)
        mine = 1.0 if self.ranks.first else 0.0
        result.parts[Metric.BASELINE] = torch.tensor(mine * self.tracker.baseline)
        return result

    def own_state(self) -> dict[str, Any]:
        """The tracker."""
        return {"tracker": asdict(self.tracker)}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Put the tracker back."""
        self.tracker = ValueTracker(**state["tracker"])
