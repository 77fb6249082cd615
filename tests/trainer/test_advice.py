"""What is told of settings that are allowed, but seldom meant."""

from typing import Any

import pytest

from trainer.advice import advice
from trainer.configs import TRAINING_TYPES, parse_config


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


@pytest.mark.parametrize("name", sorted(TRAINING_TYPES.keys() - {"dpo"}))
def test_nothing_is_told_of_other_types(name: str) -> None:
    assert told(name, 10, 10) == []
