"""Single-stream policy optimisation: the model learns which answers are better than it usually gives."""

from trainer.names import Outcome
from trainer.reinforcement import train_on_rewards
from trainer.rl_config import SPOConfig
from trainer.session import Session
from trainer.spo import SPOLoop


def train(config: SPOConfig, session: Session) -> Outcome:
    """Answers are written, rewarded and learned from, step by step (contract section 5)."""
    return train_on_rewards(config, session, SPOLoop)
