"""What is told of settings that are allowed, but seldom meant."""

from typing import Any

import pytest

from trainer.advice import advice
from trainer.configs import TRAINING_TYPES, parse_config
from trainer.starts import starts_of


def told(type_name: str, steps: int = 0, rows: int = 0, **values: Any) -> list[str]:
    return [item.code for item in advice(parse_config(type_name, {"data_path": "x"} | values), steps, rows)]


@pytest.mark.parametrize(
    ("steps", "rows", "values", "expected"),
    [
        (0, 0, {}, ["dpo_rate_too_small"]),
        (63, 419, {}, ["dpo_rate_too_small", "dpo_few_held_out"]),
        (100_000, 400_000, {}, []),
        (63, 419, {"learning_rate": 1e-4, "eval_fraction": 0.2}, []),
        (63, 419, {"learning_rate": 1e-4, "eval_fraction": 0}, ["dpo_none_held_out"]),
        (63, 419, {"learning_rate": 1e-4, "eval_data_path": "y"}, []),
        (63, 20, {"learning_rate": 1e-4}, ["dpo_none_held_out"]),
        (0, 0, {"learning_rate": 1e-4}, []),
    ],
)
def test_preferences(steps: int, rows: int, values: dict[str, Any], expected: list[str]) -> None:
    assert told("dpo", steps, rows, **values) == expected


@pytest.mark.parametrize(
    ("name", "steps", "values", "expected"),
    [
        ("grpo", 0, {}, ["rewards_rate_too_small"]),
        ("spo", 100, {}, ["rewards_rate_too_small"]),
        ("ppo", 100, {}, ["rewards_rate_too_small"]),
        ("grpo", 100_000, {}, []),
        ("ppo", 100, {"learning_rate": 1e-6, "critic_learning_rate": 1e-6, "batch_size": 8}, []),
        ("grpo", 60, {"learning_rate": 1e-4}, []),
        ("grpo", 60, {"learning_rate": 1e-4, "max_gen_len": 32}, ["no_room_to_think"]),
        ("grpo", 60, {"learning_rate": 1e-4, "max_gen_len": 32, "thinking_ratio": 0}, []),
        ("spo", 60, {"learning_rate": 1e-4, "top_p": 0.85}, ["drawn_from_some"]),
        ("grpo", 60, {"learning_rate": 1e-4, "num_generations": 2}, []),
        (
            "grpo",
            60,
            {"learning_rate": 1e-4, "num_generations": 2, "rewards": '[{"kind": "answer"}]'},
            ["small_groups"],
        ),
        ("grpo", 60, {"learning_rate": 1e-4, "epsilon": 0.1}, ["epsilon_unused"]),
        ("grpo", 60, {"learning_rate": 1e-4, "epsilon": 0.1, "loss_type": "grpo"}, []),
        ("grpo", 60, {"learning_rate": 1e-4, "epsilon_high": 2, "loss_type": "grpo"}, ["epsilon_unused"]),
        ("ppo", 60, {"learning_rate": 1e-4}, ["slow_critic"]),
    ],
)
def test_rewards(name: str, steps: int, values: dict[str, Any], expected: list[str]) -> None:
    assert told(name, steps, **values) == expected


@pytest.mark.parametrize("name", starts_of("grpo"))
@pytest.mark.parametrize("type_name", ["dpo", "grpo", "spo", "ppo"])
def test_values_to_begin_with_need_no_advice(type_name: str, name: str) -> None:
    if name in starts_of(type_name) and name != "minimind":
        assert told(type_name, 60, 1000, **starts_of(type_name)[name].values) == []


@pytest.mark.parametrize("name", sorted(TRAINING_TYPES.keys() - {"dpo", "grpo", "spo", "ppo"}))
def test_nothing_is_told_of_other_types(name: str) -> None:
    assert told(name, 10, 10) == []
