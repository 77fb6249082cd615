"""Reasoning distillation: fine-tuning on conversations whose answers carry thoughts and answer in tags."""

import logging

from trainer.configs import ReasonConfig
from trainer.data import SHOWN_ROWS, Rows
from trainer.errors import DataError
from trainer.loop import Loop
from trainer.losses import weighted_token_loss
from trainer.names import Outcome
from trainer.session import Session
from trainer.supervised import export_minimind, prepare
from trainer.tags import TAGS, TagWeights

log = logging.getLogger("trainer")


def train(config: ReasonConfig, session: Session) -> Outcome:
    """As fine-tuning, with the tokens of the tags weighing more, so that a model learns the form (contract section 5).

    Evaluation weighs every token the same.
    """
    parts = prepare(config, session)
    weights = TagWeights(parts.tokenizer, config.tag_weight, config.tag_weighting)
    if not parts.resumed:
        check_tags(parts.rows, weights)
    parts.rows.weigh = weights
    loop = Loop(
        config, session, parts.model, parts.tokenizer, parts.rows, parts.eval_rows, objective=weighted_token_loss
    )
    outcome = loop.run()
    if outcome is Outcome.FINISHED:
        export_minimind(config, session, parts)
    return outcome


def check_tags(rows: Rows, weights: TagWeights) -> None:
    """Tell how many rows have no tags; they are trained on like any conversation.

    Raises:
        DataError: none has any.
    """
    bare = [i for i in range(len(rows)) if not weights.has_tags(*rows.get(i, None))]
    if len(bare) == len(rows):
        raise DataError(
            f"No row of {rows.report.path} has {' or '.join(TAGS[::2])} in an answer within max_seq_len.",
            "Write answers as <think>…</think><answer>…</answer>, or choose type sft for plain conversations.",
        )
    if bare:
        log.warning(
            "%s of %s rows (%.1f%%) have neither thoughts nor an answer in tags (%s%s).",
            f"{len(bare):,}",
            f"{len(rows):,}",
            100 * len(bare) / len(rows),
            rows.places(bare[:SHOWN_ROWS]),
            ", …" if len(bare) > SHOWN_ROWS else "",
        )
