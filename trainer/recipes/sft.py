"""Supervised fine-tuning on conversations."""

from trainer.configs import SFTConfig
from trainer.loop import Loop
from trainer.names import Outcome
from trainer.session import Session
from trainer.supervised import export_minimind, prepare


def train(config: SFTConfig, session: Session) -> Outcome:
    """Only the assistant's tokens, its end mark included, carry loss (contract section 4)."""
    parts = prepare(config, session)
    outcome = Loop(config, session, parts.model, parts.tokenizer, parts.rows, parts.eval_rows).run()
    if outcome is Outcome.FINISHED:
        export_minimind(config, session, parts)
    return outcome
