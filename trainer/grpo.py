"""GRPO: several answers to each prompt, each judged against the others of its group (contract section 5)."""

import numpy as np
from transformers import PreTrainedModel

from trainer.advantages import WHITEN_EPSILON, group_advantages
from trainer.batches import Batch
from trainer.experience import Answer
from trainer.policy import Policy
from trainer.rl_config import GRPOConfig
from trainer.rollout_loop import RolloutLoop
from trainer.session import Session
from trainer.supervised import Parts


class GRPOLoop(RolloutLoop):
    """One update from the answers of a step."""

    def __init__(self, config: GRPOConfig, session: Session, parts: Parts, reference: PreTrainedModel | None) -> None:
        objective = Policy(
            config.loss_type, config.beta, config.rollout_temperature, config.epsilon, config.epsilon_high
        )
        super().__init__(config, session, parts, reference, objective)
        self.generations = config.num_generations
        self._over_batch = config.advantage_norm == "batch"

    def prepare(self, groups: list[list[Answer]]) -> list[Batch]:
        """A batch of answers each, with their advantages."""
        by_prompt = [_by_prompt(answers, self.generations) for answers in groups]
        rewards = [np.array([a.reward for a in same]) for prompts in by_prompt for same in prompts]
        found = group_advantages(rewards, v2=self._over_batch)
        if self._over_batch:
            found = self._whitened(found)
        for same, advantages in zip((same for prompts in by_prompt for same in prompts), found, strict=True):
            for answer, advantage in zip(same, advantages, strict=True):
                answer.advantage = float(advantage)
        return self.advantage_batches(groups)

    def _whitened(self, advantages: list[np.ndarray]) -> list[np.ndarray]:
        spread = self.spread(advantages)
        return [(each - spread.mean) / (spread.std(unbiased=True) + WHITEN_EPSILON) for each in advantages]


def _by_prompt(answers: list[Answer], generations: int) -> list[list[Answer]]:
    """The answers to each prompt."""
    found: dict[int, list[Answer]] = {}
    for answer in answers:
        found.setdefault(answer.place // generations, []).append(answer)
    return list(found.values())
