"""Which searched settings matter, against the figures of Optuna's own evaluator."""

import math
import random

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial

from minimind_platform.sweeps.importance import importances

SEARCHED = {
    "learning_rate": FloatDistribution(1e-6, 1e-2, log=True),
    "batch_size": IntDistribution(8, 128, log=True),
    "weight_decay": FloatDistribution(0, 0.2, step=0.05),
    "hidden_size": IntDistribution(128, 1024, step=64),
    "use_moe": CategoricalDistribution((False, True)),
    "num_experts": IntDistribution(2, 8),
    "epochs": IntDistribution(3, 3),
}
EXPECTED = {
    "learning_rate": 0.755274,
    "use_moe": 0.12584,
    "weight_decay": 0.046944,
    "hidden_size": 0.04156,
    "batch_size": 0.030381,
    "epochs": 0,
    "num_experts": 0,
}
"""What `optuna.importance.get_param_importances` of Optuna 5.0.0 says of `trials(60)`. Importing it takes 1.5 s."""


def trials(count: int) -> list[FrozenTrial]:
    """Random settings; experts only in a mixture. The loss of one is infinite."""
    chance = random.Random(0)
    made = []
    for number in range(count):
        params = {
            "learning_rate": 10 ** chance.uniform(-6, -2),
            "batch_size": chance.randint(8, 128),
            "weight_decay": 0.05 * chance.randint(0, 4),
            "hidden_size": 128 + 64 * chance.randint(0, 14),
            "use_moe": chance.random() < 0.5,
            "num_experts": chance.randint(2, 8),
            "epochs": 3,
        }
        if not params["use_moe"]:
            del params["num_experts"]
        loss = abs(math.log(params["learning_rate"] / 1e-3))
        loss += 0.3 * params.get("num_experts", 0) + params["weight_decay"]
        searched = {name: SEARCHED[name] for name in params}
        trial = create_trial(params=params, distributions=searched, value=loss if number != 7 else math.inf)
        trial.number = number
        made.append(trial)
    return made


def loss(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def test_it_says_what_optunas_own_evaluator_says() -> None:
    found = importances(trials(60), loss)
    assert found == pytest.approx(EXPECTED, abs=1e-6)
    assert list(found) == list(EXPECTED)


def test_of_few_or_equal_trials_it_says_nothing() -> None:
    assert importances(trials(4), loss) == {}
    assert importances(trials(60), lambda trial: 1.0) == {}
    assert importances([], loss) == {}


def test_a_setting_with_one_value_has_no_share() -> None:
    only = [create_trial(params={"epochs": 3}, distributions={"epochs": SEARCHED["epochs"]}, value=v) for v in range(6)]
    assert importances(only, loss) == {"epochs": 1}  # nothing is known of any: all the same
