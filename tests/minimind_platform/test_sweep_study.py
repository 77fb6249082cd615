"""The Optuna study behind a sweep: what is asked for, told, kept over a restart, and what counts."""

import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from minimind_platform.errors import NotFoundError, PlatformError, SettingsError
from minimind_platform.sweeps.spec import SweepSpec, read_spec
from minimind_platform.sweeps.study import Studies, StudyTrial, SweepStudy
from minimind_platform.sweeps.views import TrialState

NUMBERS = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}, "batch_size": {"low": 8, "high": 64, "log": True}}
EXPERTS = {"use_moe": [False, True], "num_experts": {"low": 2, "high": 4, "when": {"use_moe": True}}}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('sweeps')}/optuna.db"


@pytest.fixture(scope="module")
def studies(url: str) -> Studies:
    return Studies(url)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return request.node.name


def spec_of(search: Any = NUMBERS, objectives: Any = (), type_name: str = "pretrain", **options: Any) -> SweepSpec:
    return read_spec(type_name, {"data_path": "x.jsonl"}, search, {"pruner": "none"} | options, objectives)


def opened(url: str, name: str, spec: SweepSpec) -> SweepStudy:
    """As a process does that has just been started."""
    return Studies(url).open(name, spec)


def asked(study: SweepStudy) -> StudyTrial:
    trial = study.ask()
    assert trial is not None
    return trial


def cost(settings: dict[str, Any]) -> float:
    return abs(math.log(settings["learning_rate"] / 3e-4))


def trained(study: SweepStudy, *percents: int, value: float) -> tuple[int, bool]:
    """A training that reports a value that falls to `value`, until it is pruned."""
    number = asked(study).number
    for percent in percents:
        study.report(number, percent, value + 1 / percent)
        if study.should_prune(number):
            study.prune(number, "others are better")
            return number, True
    study.complete(number, [value])
    return number, False


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


def test_a_process_that_dies_between_ask_and_tell_loses_nothing(url: str, name: str) -> None:
    spec = spec_of()
    before = asked(opened(url, name, spec))
    opened(url, name, spec).report(before.number, 10, 3.0)
    study = opened(url, name, spec)
    assert study.trials()[0].state is TrialState.RUNNING
    assert study.trials()[0].settings == before.settings and study.trials()[0].intermediate == {10: 3.0}
    assert asked(study).number == 1
    study.complete(0, [2.0])
    assert opened(url, name, spec).trials()[0].values == (2.0,)


def test_a_trial_that_was_asked_for_half_is_asked_for_to_the_end(studies: Studies, url: str, name: str) -> None:
    spec = spec_of()
    whole = asked(studies.open(f"{name}-whole", spec)).settings
    study = opened(url, name, spec)

    class KilledError(BaseException):
        pass

    def dies(trial: Any) -> dict[str, Any]:
        trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True)
        raise KilledError

    with pytest.raises(KilledError):
        study.ask(dies)
    study = opened(url, name, spec)
    assert [trial.state for trial in study.trials()] == [TrialState.WAITING]
    trial = asked(study)
    assert (trial.number, trial.state) == (0, TrialState.RUNNING)
    assert trial.settings["learning_rate"] == whole["learning_rate"] and 8 <= trial.settings["batch_size"] <= 64
    assert asked(study).number == 1


def test_a_function_chooses_settings_that_are_kept(url: str, name: str) -> None:
    spec = spec_of(None)
    study = opened(url, name, spec)

    def choose(trial: Any) -> dict[str, Any]:
        layers = trial.suggest_int("layers", 2, 8)
        return {"num_hidden_layers": layers, "hidden_size": 64 * layers}

    trial = study.ask(choose)
    assert trial is not None and trial.settings["hidden_size"] == 64 * trial.params["layers"]
    assert opened(url, name, spec).trials()[0].settings == trial.settings
    with pytest.raises(SettingsError, match="return the settings"):
        study.ask(lambda trial: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        study.ask(lambda trial: {"epochs": 1 // 0})
    assert [t.state for t in study.trials()[1:]] == [TrialState.FAILED, TrialState.FAILED]
    assert "ZeroDivisionError" in study.trials()[2].reason


def test_a_trial_by_hand_waits_and_goes_first(studies: Studies, name: str) -> None:
    study = studies.open(name, spec_of(NUMBERS | EXPERTS))
    added = study.enqueue({"learning_rate": "1e-4", "batch_size": 16, "use_moe": False, "num_experts": 3})
    assert (added.state, added.by_hand) == (TrialState.WAITING, True)
    assert added.params == {"learning_rate": 1e-4, "batch_size": 16, "use_moe": False}  # without a mixture no experts
    trial = asked(study)
    assert trial.number == added.number and trial.settings == added.params and trial.by_hand
    assert not asked(study).by_hand


def test_a_trial_by_hand_outside_the_space_is_refused_with_all_that_is_wrong(studies: Studies, name: str) -> None:
    study = studies.open(name, spec_of(NUMBERS | EXPERTS))
    with pytest.raises(SettingsError) as caught:
        study.enqueue({"learning_rate": 1, "batch_size": "many", "use_moe": True, "epochs": 3})
    found = {problem.field: problem.code for problem in caught.value.problems}
    assert found == {
        "learning_rate": "outside_space",
        "batch_size": "not_a_number",
        "num_experts": "value_missing",
        "epochs": "not_searched",
    }
    assert study.trials() == []


def test_an_excluded_trial_counts_nowhere(url: str, name: str) -> None:
    spec = spec_of(pruner="median", first_stage=10)
    study = opened(url, name, spec)
    for value in (1.0, 5.0, 5.0, 5.0):
        trained(study, 10, value=value)
    assert study.best() == [0]
    study.exclude(0, True)
    study = opened(url, name, spec)
    assert study.best() == [1] and study.trials()[0].excluded
    for number in (1, 2):  # two are left: too few to compare with
        study.exclude(number, True)
    assert trained(study, 10, value=9.0) == (4, False)
    study.exclude(1, False)
    study.exclude(2, False)
    assert trained(study, 10, value=9.0) == (5, True)
    waiting = study.enqueue({"learning_rate": 1e-4, "batch_size": 16})
    study.exclude(waiting.number, True)
    assert asked(study).number != waiting.number
    with pytest.raises(NotFoundError):
        study.exclude(99, True)


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


def test_of_several_objectives_the_front_is_best(studies: Studies, name: str) -> None:
    study = studies.open(name, spec_of(objectives=["eval/loss", "perf/tokens_per_second"]))
    for values in ([2.0, 100.0], [1.0, 50.0], [2.0, 90.0], [3.0, 200.0], [1.0, 40.0], [2.0, 100.0]):
        study.complete(asked(study).number, values)
    assert study.best() == [0, 1, 3, 5]
    study.exclude(3, True)
    number = asked(study).number
    study.report(number, 10, 1.0)
    study.prune(number, "stopped")
    assert study.best() == [0, 1, 5]
    assert study.trials()[number].state is TrialState.FAILED  # one value of two is none
    assert asked(study).settings


def test_large_is_good_where_that_is_asked_for(studies: Studies, name: str) -> None:
    study = studies.open(name, spec_of(objectives=["eval/reward"]))
    for value in (1.0, 3.0, 2.0):
        study.complete(asked(study).number, [value])
    assert study.best() == [1]


def test_no_trial_is_best_while_none_is_complete(studies: Studies, name: str) -> None:
    study = studies.open(name, spec_of())
    study.fail(asked(study).number, "broken")
    asked(study)
    assert study.best() == [] and study.importance() == {}


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


def test_a_decision_to_prune_outlives_the_process(url: str, name: str) -> None:
    spec = spec_of(pruner="asha")
    study = opened(url, name, spec)
    study.decide(asked(study).number, "worse than others at 10 %")
    trial = opened(url, name, spec).trials()[0]
    assert trial.decided and trial.state is TrialState.RUNNING
    study.prune(0, trial.reason)
    ended = study.trials()[0]
    assert (ended.state, ended.decided, ended.reason) == (TrialState.PRUNED, False, "worse than others at 10 %")


def test_telling_twice_changes_nothing(studies: Studies, name: str) -> None:
    study = studies.open(name, spec_of())
    number = asked(study).number
    study.report(number, 10, 3.0)
    study.report(number, 10, 9.0)
    study.complete(number, [2.0])
    before = study.trials()
    study.complete(number, [1.0], {"memory": 5.0})
    study.fail(number, "too late")
    study.prune(number, "too late", {"minutes": 1.0})
    study.report(number, 20, 1.0)
    study.decide(number, "too late")
    assert not study.should_prune(number)
    assert study.trials() == before and before[0].intermediate == {10: 3.0}
    assert before[0].started_at is not None and before[0].ended_at is not None
    assert before[0].started_at <= before[0].ended_at
    with pytest.raises(NotFoundError, match="no trial 7"):
        study.complete(7, [1.0])


def test_one_process_sees_what_another_one_does(url: str, name: str) -> None:
    scheduler, web = opened(url, name, spec_of()), opened(url, name, spec_of())
    number = asked(scheduler).number
    assert web.trials()[0].state is TrialState.RUNNING
    scheduler.report(number, 10, 3.0)
    assert web.trials()[0].intermediate == {10: 3.0}
    scheduler.complete(number, [2.0])
    added = web.enqueue({"learning_rate": 1e-4, "batch_size": 16})
    assert asked(scheduler).number == added.number
    assert [t.state for t in web.trials()] == [TrialState.COMPLETE, TrialState.RUNNING]


def test_a_deleted_study_is_gone_and_does_not_show_through(url: str, name: str) -> None:
    studies, web = Studies(url), Studies(url)
    study = studies.open(name, spec_of())
    for _ in range(3):
        study.complete(asked(study).number, [1.0])
    assert len(web.open(name, spec_of()).trials()) == 3
    studies.delete(name)
    studies.delete(name)
    following = studies.open(f"{name}-next", spec_of())  # SQLite gives it the same row numbers
    asked(following)
    assert [t.state for t in web.open(f"{name}-next", spec_of()).trials()] == [TrialState.RUNNING]
    assert web.open(name, spec_of()).trials() == []


def test_a_process_reads_a_trial_that_has_ended_once(studies: Studies, url: str, name: str) -> None:
    study = studies.open(name, spec_of())
    study.complete(asked(study).number, [1.0])
    web = Studies(url)
    assert [trial.values for trial in web.open(name, spec_of()).trials()] == [(1.0,)]
    read: list[str] = []
    assert web._storage is not None
    event.listen(web._storage.engine, "before_cursor_execute", lambda *given: read.append(given[2]))
    assert [trial.values for trial in web.open(name, spec_of(n_trials=50)).trials()] == [(1.0,)]
    assert read and not [statement for statement in read if "trial_values" in statement or "trial_params" in statement]


def test_the_setting_that_matters_is_the_most_important_one(studies: Studies, name: str) -> None:
    study = studies.open(name, spec_of({"learning_rate": None, "weight_decay": None}, sampler="qmc"))
    for _ in range(16):
        trial = asked(study)
        study.complete(trial.number, [cost(trial.settings)])
    found = study.importance()
    assert list(found) == ["learning_rate", "weight_decay"] and found["learning_rate"] > 0.6
    assert sum(found.values()) == pytest.approx(1)
    assert study.importance() == found


def test_a_database_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "optuna.db").write_bytes(b"no database at all, but long enough for a header" * 10)
    with pytest.raises(PlatformError, match="cannot be opened"):
        Studies(f"sqlite:///{tmp_path}/optuna.db").open("a", spec_of())
    with pytest.raises(PlatformError, match="not the URL of a database"):
        Studies("optuna.db").open("a", spec_of())


OPENS = """
import sys
from minimind_platform.sweeps.spec import read_spec
from minimind_platform.sweeps.study import Studies
spec = read_spec("pretrain", {"data_path": "x"}, ["learning_rate"], {"pruner": "none"})
sys.stdin.readline()
study = Studies(sys.argv[1]).open("shared", spec)
for _ in range(5):
    trial = study.enqueue({"learning_rate": 1e-4})
print(len(study.trials()))
"""


def test_two_processes_open_a_new_database_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    command = [sys.executable, "-W", "error::UserWarning", "-c", OPENS, url]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    threads = [threading.Thread(target=lambda p=p: results.append(p.communicate("go\n"))) for p in processes]
    results: list[tuple[str, str]] = []
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.returncode for process in processes] == [0, 0], results
    assert all(not err for _, err in results)
    numbers = [trial.number for trial in Studies(url).open("shared", spec_of(["learning_rate"])).trials()]
    assert numbers == list(range(10))
