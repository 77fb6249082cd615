"""What settings are known to lead to, told before the start. They are allowed, so nothing is refused.

advice(config, steps=63, rows=419)
"""

import math
from collections.abc import Callable

from trainer.configs import DPOConfig, TrainConfig
from trainer.errors import Problem
from trainer.rl_config import GRPOConfig, PPOConfig, RolloutConfig

SLOWEST_RATE = 1e-6
"""Learning rate below which hardly anything is learned, where the number of steps is not known."""
SMALLEST_MOVE = 1e-4
"""A weight that cannot move farther in a whole training stays as it is: their usual size is 0.02."""
MEAN_RATE = 0.55
"""Of the peak learning rate, over MiniMind's cosine."""
FEW_PAIRS = 50
"""Held-out pairs below which each counts two points of accuracy or more."""
FEW_ANSWERS = 4
"""Size of a group below which right or wrong answers are often all the same."""
SHORTEST_THOUGHT = 64
"""Tokens below which a thought and an answer hardly fit."""


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
    if _hardly_moves(rate, steps):
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


def _hardly_moves(rate: float, updates: int) -> bool:
    return updates * MEAN_RATE * rate < SMALLEST_MOVE if updates else rate < SLOWEST_RATE


def _of_rollouts(config: RolloutConfig, steps: int, _rows: int) -> list[Problem]:
    found = []
    rate = config.learning_rate
    if _hardly_moves(rate, steps * _updates(config)):
        text = (
            f"With {rate:g} the model hardly changes in so few steps, and neither does its reward. MiniMind's default "
            "is meant for far more; small models learn from rewards with 1e-5 to 2e-4."
        )
        found.append(Problem("learning_rate", "rewards_rate_too_small", text, {"rate": f"{rate:g}", "better": "1e-4"}))
    if config.truncated:
        text = (
            "The model learns from its probabilities of all tokens, but its answers are drawn from some of them only, "
            "so that it learns something else than what it did. rollout/logp_gap tells how far the two are apart; "
            "top_k 0 and top_p 1 draw from all."
        )
        name, better = ("top_k", "0") if config.top_k else ("top_p", "1")
        found.append(Problem(name, "drawn_from_some", text, {"better": better}))
    if config.thinking_ratio and config.max_gen_len < SHORTEST_THOUGHT:
        tokens = config.max_gen_len
        text = (
            f"A thought and an answer hardly fit into {tokens} tokens, and a thought that does not end holds no "
            "answer. Raise it, or set thinking_ratio to 0."
        )
        found.append(Problem("max_gen_len", "no_room_to_think", text, {"tokens": tokens, "better": "256"}))
    return found


def _updates(config: RolloutConfig) -> int:
    """Times that the weights change in a step."""
    if not isinstance(config, PPOConfig):
        return 1
    answers = config.batch_size * config.accumulation_steps
    return config.ppo_update_iters * math.ceil(answers / config.mini_batch_size)


def _of_groups(config: GRPOConfig, _steps: int, _rows: int) -> list[Problem]:
    found = []
    count, counted = config.num_generations, {reward.kind for reward in config.rewards if reward.weight}
    if count < FEW_ANSWERS and counted <= {"answer", "regex"}:
        text = (
            f"{count} answers that are right or wrong are often all the same, and then nothing is learned from the "
            "prompt. More of them make that rarer."
        )
        found.append(Problem("num_generations", "small_groups", text, {"count": count, "better": "8"}))
    name, other = ("epsilon_high", "grpo") if config.loss_type == "grpo" else ("epsilon", "cispo")
    if getattr(config, name) != GRPOConfig.model_fields[name].default:
        text = f"It has no effect with loss_type {other}."
        found.append(Problem(name, "epsilon_unused", text, {"loss_type": other}))
    return found


def _of_critics(config: PPOConfig, _steps: int, _rows: int) -> list[Problem]:
    rates = {"rate": f"{config.critic_learning_rate:g}", "policy": f"{config.learning_rate:g}"}
    if config.critic_learning_rate >= config.learning_rate:
        return []
    text = (
        f"The critic learns with {rates['rate']}, the model with {rates['policy']}: what the critic expects stays "
        "behind what the model does by now. Raise it to that or more."
    )
    return [Problem("critic_learning_rate", "slow_critic", text, rates | {"better": rates["policy"]})]


_ADVISERS: dict[type[TrainConfig], Callable[..., list[Problem]]] = {
    DPOConfig: _of_preferences,
    RolloutConfig: _of_rollouts,
    GRPOConfig: _of_groups,
    PPOConfig: _of_critics,
}
