"""Proximal policy optimisation: the model learns which tokens lead to more reward than a critic expected."""

from trainer.names import Outcome
from trainer.ppo import PPOLoop
from trainer.reinforcement import train_on_rewards
from trainer.rl_config import PPOConfig
from trainer.session import Session


def train(config: PPOConfig, session: Session) -> Outcome:
    """Answers are written, rewarded and learned from, step by step (contract section 5)."""
    return train_on_rewards(config, session, PPOLoop)
