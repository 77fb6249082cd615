"""What the recipes of the types that learn from rewards share.

outcome = train_on_rewards(config, session, GRPOLoop)
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from trainer.errors import Problem, SettingsError
from trainer.names import Outcome
from trainer.prompts import Prompts
from trainer.reference_model import drop_reference, keep_reference
from trainer.rl_config import RolloutConfig
from trainer.rollout_loop import RolloutLoop
from trainer.session import Session
from trainer.supervised import Parts, export_minimind, prepare

log = logging.getLogger("trainer")


def train_on_rewards(config: Any, session: Session, loop: Callable[[Any, Session, Parts, Any], RolloutLoop]) -> Outcome:
    """Load everything, train, and write the MiniMind file at the end."""
    parts = fitted(config, prepare(config, session))
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


def fitted(config: RolloutConfig, parts: Parts) -> Parts:
    """Prompts that fit the model together with their answers, and no more held-out ones than can be answered often.

    Raises:
        SettingsError: the longest prompt and its answer do not fit.
    """
    rows, held = cast(Prompts, parts.rows), cast(Prompts | None, parts.eval_rows)
    if held is not None and len(held) > config.max_eval_rows:
        drawn = np.random.default_rng([config.seed, len(held)]).permutation(len(held))[: config.max_eval_rows]
        log.info("Evaluation answers %d of the %d held-out prompts.", len(drawn), len(held))
        held = held.subset(np.sort(drawn))
    positions: int | None = getattr(parts.model.config, "max_position_embeddings", None)
    if positions is not None:
        longest = max(int(some.lengths.max()) for some in (rows, held) if some is not None and len(some))
        if longest + config.max_gen_len > positions:
            raise SettingsError([_no_room(longest, config.max_gen_len, positions)])
        room = positions - config.max_gen_len
        rows, held = rows.within(room), held.within(room) if held is not None else None
    return replace(parts, rows=cast(Any, rows), eval_rows=cast(Any, held))


def _no_room(longest: int, new: int, positions: int) -> Problem:
    name, value = ("max_gen_len", positions - longest) if longest < positions else ("max_seq_len", positions // 2)
    text = (
        f"The longest prompt has {longest} tokens; with {new} more that is beyond the {positions} positions of the "
        f"model. Lower it to {value}."
    )
    return Problem(name, "beyond_room", text, {"prompt": longest, "new": new, "positions": positions, "value": value})
