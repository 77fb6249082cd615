"""The Optuna study behind a sweep: what is asked for, told, kept over a restart, and what counts."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from studied import EXPERTS, NUMBERS, asked, cost, opened, spec_of, trained

from minimind_platform.errors import NotFoundError, PlatformError, SettingsError
from minimind_platform.sweeps.study import Studies
from minimind_platform.sweeps.views import TrialState


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def studies_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('tmp_path_factory').mktemp('sweeps')}/optuna.db"
    return request.getfixturevalue("postgres").database()


@pytest.fixture
def url(studies_url: str) -> str:
    """The database of the studies, not that of the queue."""
    return studies_url


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


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_open_a_new_database_at_once(tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> None:
    postgres = kind == "postgresql" and request.getfixturevalue("postgres")
    url = postgres.database() if postgres else f"sqlite:///{tmp_path}/optuna.db"
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
