"""Named starting values of training types, for purposes that the defaults do not fit.

    starts_of("grpo")["short-answers"].values

As with a model size, a start is no setting of its own: it fills in fields, and what a person sets beside it wins.
"""

from dataclasses import dataclass, replace
from typing import Any

from trainer.configs import TRAINING_TYPES
from trainer.fields import config_fields
from trainer.reward_specs import AnswerReward, RepetitionReward, Reward, TagsReward


@dataclass(frozen=True)
class Start:
    """Values to begin with."""

    name: str
    title: str
    help: str
    """What they are for."""
    values: dict[str, Any]
    """By field; plain values, so that it is JSON. Every start of a type has the same fields."""


def _rewards(*specs: Reward) -> list[dict[str, Any]]:
    return [spec.model_dump() for spec in specs]


_MINIMIND = Start(
    "minimind", "MiniMind's defaults", "Meant for 64 million parameters, a GPU and many thousands of steps.", {}
)
_SHORT = Start(
    "short-answers",
    "Short right answers, small model",
    "For sums and other questions with answers of a few tokens that the data lists in gt: no thoughts, many answers a "
    "step, and a rate that moves a small model within a few hundred steps, on a CPU too.",
    {
        "eval_fraction": 0.1,
        "max_gen_len": 32,
        "rollout_temperature": 1.0,
        "thinking_ratio": 0.0,
        "system_prompt_ratio": 0.0,
        "rewards": _rewards(AnswerReward()),
        "learning_rate": 1e-4,
        "warmup_steps": 8,
    },
)
_THOUGHTS = Start(
    "thoughts",
    "Thoughts and answers in tags",
    "For a model that was trained with type reason: it thinks first, and is rewarded for right answers and for the "
    "tags around thought and answer.",
    {
        "eval_fraction": 0.1,
        "max_gen_len": 256,
        "rollout_temperature": 1.0,
        "thinking_ratio": 1.0,
        "rewards": _rewards(AnswerReward(weight=2.0), TagsReward(), RepetitionReward()),
        "learning_rate": 2e-5,
        "warmup_steps": 8,
    },
)
_PAIRS = Start(
    "few-pairs",
    "Small model, a few hundred pairs",
    "Compares answers by the token and holds enough pairs out to see a difference; what did best in docs/training.md.",
    {
        "eval_fraction": 0.3,
        "epochs": 3,
        "batch_size": 8,
        "learning_rate": 1e-4,
        "dpo_form": "mean",
        "beta": 10.0,
    },
)


def _more(start: Start, **values: Any) -> Start:
    return replace(start, values=start.values | values)


_GIVEN: dict[str, tuple[Start, ...]] = {
    "dpo": (_MINIMIND, _PAIRS),
    "grpo": (
        _MINIMIND,
        _more(_SHORT, batch_size=16, num_generations=8, beta=0.01),
        _more(_THOUGHTS, batch_size=8, num_generations=8, beta=0.02),
    ),
    "spo": (
        _MINIMIND,
        _more(_SHORT, batch_size=128, accumulation_steps=1, beta=0.01),
        _more(_THOUGHTS, batch_size=64, accumulation_steps=1, beta=0.02),
    ),
    "ppo": (
        _MINIMIND,
        _more(_SHORT, batch_size=128, mini_batch_size=64, critic_learning_rate=5e-4, kl_coef=0.01),
        _more(_THOUGHTS, batch_size=64, mini_batch_size=32, critic_learning_rate=1e-4, kl_coef=0.02),
    ),
}


def starts_of(type_name: str) -> dict[str, Start]:
    """The starts of a training type by name; a field that only another one sets has its default."""
    given = _GIVEN.get(type_name, ())
    defaults = {field.name: field.default for field in config_fields(TRAINING_TYPES[type_name])}
    names = [name for name in defaults if any(name in start.values for start in given)]
    return {
        start.name: replace(start, values={name: start.values.get(name, defaults[name]) for name in names})
        for start in given
    }
