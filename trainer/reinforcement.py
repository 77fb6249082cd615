"""What the recipes of the types that learn from rewards share.

outcome = train_on_rewards(config, session, GRPOLoop)
"""

from collections.abc import Callable
from typing import Any

from trainer.errors import Problem, SettingsError
from trainer.names import Outcome
from trainer.reference_model import drop_reference, keep_reference
from trainer.rl_config import RolloutConfig
from trainer.rollout_loop import RolloutLoop
from trainer.session import Session
from trainer.supervised import Parts, export_minimind, prepare


def train_on_rewards(config: Any, session: Session, loop: Callable[[Any, Session, Parts, Any], RolloutLoop]) -> Outcome:
    """Load everything, train, and write the MiniMind file at the end."""
    parts = prepare(config, session)
    _check_room(config, parts)
    reference = None
    if config.has_reference:
        with session.ranks.in_turn():
            reference = keep_reference(
                session.task_dir, parts.model, parts.tokenizer, parts.resumed, config.packing, session.ranks.first
            )
    outcome = loop(config, session, parts, reference).run()
    if outcome is Outcome.FINISHED:
        export_minimind(config, session, parts)
        if session.ranks.first:
            drop_reference(session.task_dir)
    return outcome


def _check_room(config: RolloutConfig, parts: Parts) -> None:
    """The longest prompt and its answer must fit the model."""
    positions: Any = getattr(parts.model.config, "max_position_embeddings", None)
    longest = int(parts.rows.lengths.max())
    if positions is not None and longest + config.max_gen_len > positions:
        text = (
            f"The longest prompt has {longest} tokens; with {config.max_gen_len} more that is beyond the {positions} "
            f"positions of the model. Lower it to {max(positions - longest, 1)}."
        )
        values = {"prompt": longest, "new": config.max_gen_len, "positions": positions}
        raise SettingsError([Problem("max_gen_len", "beyond_positions", text, values)])
