"""Pretraining: next-token prediction on plain text."""

from trainer.configs import PretrainConfig
from trainer.loop import Loop
from trainer.names import Outcome
from trainer.session import Session
from trainer.supervised import export_minimind, prepare


def train(config: PretrainConfig, session: Session) -> Outcome:
    """Every token of a row but the first carries loss (contract section 4)."""
    parts = prepare(config, session)
    outcome = Loop(config, session, parts.model, parts.tokenizer, parts.rows, parts.eval_rows).run()
    if outcome is Outcome.FINISHED:
        export_minimind(config, session, parts)
    return outcome
