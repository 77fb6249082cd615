"""What an Optuna study chooses: its samplers, its pruners, and what they make of limits."""

import math
from typing import Any

import pytest
from studied import EXPERTS, NUMBERS, asked, cost, opened, spec_of, trained

from minimind_platform.sweeps.study import Studies
from minimind_platform.sweeps.views import TrialState


@pytest.fixture
def url(studies_url: str) -> str:
    """The database of the studies, not that of the queue."""
    return studies_url


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "qmc"])
def test_every_sampler_stays_in_the_space_and_gives_plain_values(studies: Studies, name: str, sampler: str) -> None:
    search = NUMBERS | EXPERTS | {"weight_decay": {"low": 0, "high": 0.18, "step": 0.05}, "dtype": None}
    study = studies.open(name, spec_of(search, sampler=sampler, startup_trials=2))
    for _ in range(5):
        trial = asked(study)
        study.complete(trial.number, [cost(trial.settings)])
    for trial in study.trials():
        assert trial.params == trial.settings
        assert 1e-5 <= trial.params["learning_rate"] <= 1e-2 and 8 <= trial.params["batch_size"] <= 64
        assert trial.params["weight_decay"] in (0, 0.05, 0.1, 0.15)
        assert trial.params["dtype"] in ("bfloat16", "float16", "float32")
        assert ("num_experts" in trial.params) == trial.params["use_moe"]
        assert {type(value) for value in trial.params.values()} <= {int, float, str, bool}
    assert len({t.params["learning_rate"] for t in study.trials()}) == 5


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "qmc"])
def test_a_restart_before_every_trial_changes_nothing(url: str, name: str, sampler: str) -> None:
    spec = spec_of(sampler=sampler, startup_trials=2)

    def run(study_name: str, restart: bool) -> list[dict[str, Any]]:
        study = opened(url, study_name, spec)
        for _ in range(4):
            study = opened(url, study_name, spec) if restart else study
            trial = asked(study)
            study.complete(trial.number, [cost(trial.settings)])
        return [trial.params for trial in study.trials()]

    whole = run(name, restart=False)
    assert run(f"{name}-again", restart=True) == whole
    assert len({params["learning_rate"] for params in whole}) == 4


def test_another_seed_gives_other_settings(studies: Studies, name: str) -> None:
    first = asked(studies.open(name, spec_of(seed=1)))
    assert first.settings != asked(studies.open(f"{name}-2", spec_of(seed=2))).settings


def test_trials_at_the_same_time_differ(studies: Studies, name: str) -> None:
    study = studies.open(name, spec_of(startup_trials=2))
    for _ in range(3):
        trial = asked(study)
        study.complete(trial.number, [cost(trial.settings)])
    together = [asked(study).settings["learning_rate"] for _ in range(4)]
    assert len(set(together)) == 4


def test_a_grid_gives_every_combination_once_whatever_happens(url: str, name: str) -> None:
    spec = spec_of(
        {"hidden_size": [128, 256], "weight_decay": {"low": 0, "high": 0.2, "step": 0.1}} | EXPERTS,
        sampler="grid",
        n_trials=100,
    )
    study = opened(url, name, spec)
    by_hand = study.enqueue({"hidden_size": "256", "weight_decay": 0.1, "use_moe": "true", "num_experts": 3})
    first, second = asked(study), asked(study)
    assert first.number == by_hand.number and second.number != first.number
    study.fail(second.number, "broken")
    study = opened(url, name, spec)
    while trial := study.ask():
        assert trial.state is TrialState.RUNNING
    points = [tuple(sorted(trial.params.items())) for trial in study.trials()]
    assert len(points) == len(set(points)) == 2 * 3 * (1 + 3)
    study.exclude(3, True)
    assert study.ask() is None


def test_the_sampler_does_not_learn_from_an_excluded_trial(studies: Studies, name: str) -> None:
    spec = spec_of({"dtype": ["bfloat16", "float16", "float32"]}, startup_trials=3)

    def draws(study_name: str, excluded: bool) -> list[str]:
        study = studies.open(study_name, spec)
        for dtype in ("bfloat16", "float16", "float32") * 2:
            trial = study.enqueue({"dtype": dtype})
            asked(study)
            study.complete(trial.number, [0.0 if dtype == "float16" else 1.0])
            study.exclude(trial.number, excluded and dtype == "float16")
        return [asked(study).settings["dtype"] for _ in range(5)]

    assert draws(name, excluded=False).count("float16") > draws(f"{name}-2", excluded=True).count("float16")


def test_a_trial_over_a_limit_is_no_solution(url: str, name: str) -> None:
    spec = spec_of(max_memory_mb=100)
    study = opened(url, name, spec)
    for value, excess in ((1.0, {"memory": 20.0}), (3.0, {"memory": -5.0}), (2.0, {"memory": -1.0, "minutes": 0.5})):
        study.complete(asked(study).number, [value], excess)
    number = asked(study).number
    study.report(number, 20, 0.5)
    study.prune(number, "took too long", {"minutes": 1.0})
    study = opened(url, name, spec)
    assert [trial.feasible for trial in study.trials()] == [False, True, False, False]
    assert study.best() == [1]
    assert study.trials()[3].reason == "took too long" and study.trials()[3].values == (0.5,)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_the_sampler_keeps_away_from_what_is_over_a_limit(studies: Studies, name: str, sampler: str) -> None:
    search = {"learning_rate": (1e-5, 1e-2), "weight_decay": (0.0, 0.2)}
    study = studies.open(name, spec_of(search, sampler=sampler, startup_trials=5))
    for _ in range(24):
        trial = asked(study)
        decay = trial.settings["weight_decay"]  # the more the better, but not above 0.1
        study.complete(trial.number, [-decay], {"memory": decay - 0.1})
    decays = [trial.params["weight_decay"] for trial in study.trials()]
    assert sum(decay > 0.1 for decay in decays[-10:]) <= 5
    assert 0.05 < study.trial(study.best()[0]).params["weight_decay"] <= 0.1


@pytest.mark.parametrize(
    ("pruner", "metric"),
    [("median", "eval/loss"), ("median", "eval/reward"), ("asha", "eval/reward"), ("hyperband", "eval/loss")],
)
def test_every_pruner_ends_the_worst_and_keeps_the_best(studies: Studies, name: str, pruner: str, metric: str) -> None:
    sign = 1 if metric == "eval/loss" else -1
    study = studies.open(name, spec_of(objectives=[metric], pruner=pruner, first_stage=10))
    numbers: dict[float, tuple[int, bool]] = {}
    for value in (3, 2, 1, 5, 6, 7, 0.5, 8):
        number = asked(study).number
        pruned = False
        for percent in (10, 30, 90):
            study.report(number, percent, sign * value)
            if pruned := study.should_prune(number):
                study.prune(number, "others are better")
                break
        else:
            study.complete(number, [sign * value])
        numbers[value] = number, pruned
    assert not numbers[0.5][1] and study.best() == [numbers[0.5][0]]
    assert sum(pruned for _, pruned in numbers.values()) >= 2
    assert study.trials()[numbers[8][0]].state is (TrialState.PRUNED if numbers[8][1] else TrialState.COMPLETE)


def test_median_compares_trainings_that_are_evaluated_at_other_percents(studies: Studies, name: str) -> None:
    study = studies.open(name, spec_of(pruner="median", first_stage=20))
    for percents in ((11, 33, 66, 100), (10, 40, 80, 100), (25, 50, 75, 100)):
        assert not trained(study, *percents, value=1.0)[1]
    number = asked(study).number
    study.report(number, 17, 9.0)
    assert not study.should_prune(number)  # before the first stage
    study.report(number, 37, 9.0)
    assert study.should_prune(number)


def test_nothing_is_ended_early_at_its_end_or_without_a_pruner(studies: Studies, name: str) -> None:
    for pruner, expected in (("none", [False] * 3), ("asha", [False, True, False])):
        study = studies.open(f"{name}-{pruner}", spec_of(pruner=pruner, first_stage=50, reduction=2))
        answers = []
        for value, percent in ((1.0, 50), (2.0, 50), (3.0, 100)):
            number = asked(study).number
            study.report(number, percent, value)
            answers.append(study.should_prune(number))
        assert answers == expected


def test_what_is_not_a_number(studies: Studies, name: str) -> None:
    study = studies.open(name, spec_of(pruner="asha", startup_trials=1))
    number = asked(study).number
    study.report(number, 5, math.nan)
    assert study.should_prune(number)  # even before the first stage
    study.prune(number, "the loss is not a number")
    trial = study.trials()[number]
    assert trial.state is TrialState.PRUNED and trial.values == () and math.isnan(trial.intermediate[5])
    other = asked(study).number
    study.complete(other, [math.nan])
    assert study.trials()[other].state is TrialState.FAILED
    study.complete(asked(study).number, [1.0])
    assert asked(study).settings and study.best() == [2]
