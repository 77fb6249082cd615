"""Direct preference optimisation: of two answers the better one becomes more likely than it was for the base."""

import logging
from typing import Any

import torch

from trainer.advice import advice
from trainer.batches import Batch
from trainer.configs import DPOConfig
from trainer.loop import Loop
from trainer.names import Metric, Outcome
from trainer.preferences import Preference
from trainer.references import add_reference
from trainer.session import Session
from trainer.supervised import export_minimind, prepare

log = logging.getLogger("trainer")
FAR = 0.5
"""Loss of log-probability a token of the chosen answers, in nats, that a person is told of."""


def train(config: DPOConfig, session: Session) -> Outcome:
    """The reference is the base; what it gives to each answer is worked out once, before the first step."""
    parts = prepare(config, session)
    watch = Watch(Preference(config.beta, config.dpo_form))
    loop: Any = PreferenceLoop(
        config,
        session,
        parts.model,
        parts.tokenizer,
        parts.rows,
        parts.eval_rows,
        objective=watch.preference,
        measure=watch,
    )
    for item in advice(config, loop.plan.total_steps, len(parts.rows) + len(parts.eval_rows or ())):
        log.warning("%s", item)
    if not add_reference(config, session, parts, loop.device):
        return Outcome.STOPPED
    outcome = loop.run()
    if outcome is Outcome.FINISHED:
        export_minimind(config, session, parts)
    return outcome


class Watch:
    """Measures held-out pairs, and how much less likely their chosen answers have become."""

    def __init__(self, preference: Preference) -> None:
        self.preference = preference
        self._sums = [0.0, 0.0]

    def __call__(self, model: torch.nn.Module, batch: Batch) -> dict[Metric, torch.Tensor]:
        """The figures of a batch."""
        found = self.preference.measure(model, batch)
        before, _ = (batch.extras["reference"] / batch.extras["labels"]).chunk(2)
        self._sums[0] += float(found[Metric.EVAL_CHOSEN_LOGP] - before.sum())
        self._sums[1] += batch.count
        return found

    def close(self) -> list[float]:
        """Sum of the change a token, and the pairs, since the last call."""
        sums, self._sums = self._sums, [0.0, 0.0]
        return sums


class PreferenceLoop(Loop):
    """A loop that says so, once, when a model forgets the chosen answers too: the loss does not show that."""

    _told = False

    def _evaluate(self) -> float | None:
        value = super()._evaluate()
        change, pairs = self.ranks.totals(self.measure.close())  # type: ignore[attr-defined]
        if pairs and change / pairs < -FAR and not self._told:
            self._told = True
            self.session.event(
                "chosen_less_likely",
                f"The chosen answers of the held-out pairs have become less likely than they were for the base, by "
                f"{-change / pairs:.2f} a token in their logarithm: the model unlearns more than the rejected answers. "
                "Lower learning_rate, take fewer steps, or raise beta.",
            )
        return value
