"""Group-relative policy optimisation: the model learns which of several answers to a prompt are better."""

from trainer.grpo import GRPOLoop
from trainer.names import Outcome
from trainer.reinforcement import train_on_rewards
from trainer.rl_config import GRPOConfig
from trainer.session import Session


def train(config: GRPOConfig, session: Session) -> Outcome:
    """Answers are written, rewarded and learned from, step by step (contract section 5)."""
    return train_on_rewards(config, session, GRPOLoop)
