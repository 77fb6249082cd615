"""What settings are known to lead to, told before the start. They are allowed, so nothing is refused.

advice(config, steps=63, rows=419)
"""

from collections.abc import Callable

from trainer.configs import DPOConfig, TrainConfig
from trainer.errors import Problem

SLOWEST_RATE = 1e-6
"""Learning rate below which preferences are hardly learned, where the number of steps is not known."""
SMALLEST_MOVE = 1e-4
"""A weight that cannot move farther in a whole training stays as it is: their usual size is 0.02."""
MEAN_RATE = 0.55
"""Of the peak learning rate, over MiniMind's cosine."""
FEW_PAIRS = 50
"""Held-out pairs below which each counts two points of accuracy or more."""


def advice(config: TrainConfig, steps: int = 0, rows: int = 0) -> list[Problem]:
    """What a person should know about settings that are valid.

    Args:
        config: the settings.
        steps: how many steps they make; 0 if that is not known yet.
        rows: of the training data, held-out ones among them; 0 if that is not known yet.

    Returns:
        One for each thing to know; `better` among its values is what the field could be set to instead.
    """
    found = []
    for kind, advise in _ADVISERS.items():
        if isinstance(config, kind):
            found += advise(config, steps, rows)
    return found


def _of_preferences(config: DPOConfig, steps: int, rows: int) -> list[Problem]:
    found = []
    rate = config.learning_rate
    moves = steps * MEAN_RATE * rate
    if moves < SMALLEST_MOVE if steps else rate < SLOWEST_RATE:
        text = (
            f"With {rate:g} the model hardly changes in so few steps: the loss stays at 0.693, the accuracy at a half. "
            "MiniMind's default of 4e-8 is meant for far more; small models learn preferences with 1e-5 to 1e-4."
        )
        found.append(Problem("learning_rate", "dpo_rate_too_small", text, {"rate": f"{rate:g}", "better": "5e-5"}))
    held_out = round(rows * config.eval_fraction)
    if config.eval_data_path:
        return found
    if not config.eval_fraction or (rows and not held_out):
        text = (
            "No pairs are held out, and the accuracy of pairs that are trained on rises in any case. Raise it, or set "
            "eval_data_path."
        )
        found.append(Problem("eval_fraction", "dpo_none_held_out", text, {"better": "0.2"}))
    elif rows and held_out < FEW_PAIRS:
        text = (
            f"Only about {held_out} pairs are held out, so that each is {100 / held_out:.0f} points of accuracy. Raise "
            "it, or set eval_data_path."
        )
        values = {"pairs": held_out, "points": f"{100 / held_out:.0f}", "better": "0.2"}
        found.append(Problem("eval_fraction", "dpo_few_held_out", text, values))
    return found


_ADVISERS: dict[type[TrainConfig], Callable[..., list[Problem]]] = {DPOConfig: _of_preferences}
