"""Sweeps as rows of the queue's database."""

import pytest

from minimind_platform.errors import ConflictError, SettingsError
from minimind_platform.rows import NewTask
from minimind_platform.sweeps.spec import extended, read_spec
from minimind_platform.sweeps.store import NewSweep, Summary, SweepStore
from minimind_platform.sweeps.views import SweepState
from minimind_platform.tasks import State

RUNNING, PAUSED, STOPPED, FINISHED = SweepState
SPEC = read_spec("sft", {"data_path": "x"}, {"learning_rate": [1e-3, 1e-4], "batch_size": (8, 16)}, {"n_trials": 3})


@pytest.fixture
def url(any_url):
    return any_url


@pytest.fixture
def sweeps(store):
    return SweepStore(store.engine)


def add(sweeps, number=1, name="", key=""):
    return sweeps.add(NewSweep(f"{number:032x}", key, name or f"sweep {number}", "7", SPEC))


def test_a_sweep_comes_back_as_it_was(sweeps) -> None:
    sweep, added = add(sweeps)
    assert added and sweep.spec == SPEC and sweep.state is RUNNING and sweep.experiment_id == "7"
    assert sweeps.by_name("sweep 1").id == sweep.id and sweeps.find("000000") == [sweep.id]


def test_a_key_makes_one_sweep_and_a_name_belongs_to_one(sweeps) -> None:
    first, _ = add(sweeps, 1, key="k")
    assert add(sweeps, 2, key="k")[0].id == first.id
    with pytest.raises(SettingsError, match="There is a sweep 'sweep 1' already"):
        add(sweeps, 3, name="sweep 1")
    hidden = sweeps.set_deleted(first, 5.0)
    second, added = add(sweeps, 3, name="sweep 1")
    assert added and sweeps.by_name("sweep 1").id == second.id
    with pytest.raises(SettingsError, match="already"):
        sweeps.set_deleted(hidden, None)


def test_only_known_moves_and_none_that_comes_too_late(sweeps) -> None:
    sweep, _ = add(sweeps)
    assert sweeps.running_since(sweep.id) > 0
    paused = sweeps.move(sweep, PAUSED, "why")
    assert (paused.reason, paused.ended_at is None, sweeps.running_since(sweep.id)) == ("why", False, 0)
    with pytest.raises(ConflictError, match="moved on meanwhile"):
        sweeps.move(sweep, STOPPED, "late")
    with pytest.raises(ConflictError, match="it cannot become finished"):
        sweeps.move(paused, FINISHED, "never")
    again = sweeps.move(paused, RUNNING, "", extended(SPEC, n_trials=9))
    assert again.ended_at is None and again.spec.n_trials == 9 and again.spent_seconds >= paused.spent_seconds


def test_lists_are_newest_first_and_filtered(sweeps) -> None:
    for number in (1, 2, 3):
        sweep, _ = add(sweeps, number)
    sweeps.move(sweep, STOPPED, "")
    assert [s.name for s in sweeps.page(limit=2).sweeps] == ["sweep 3", "sweep 2"]
    assert sweeps.page(words="sweep 2").total == 1 and sweeps.page(states=[STOPPED]).total == 1
    sweeps.set_deleted(sweeps.get(sweep.id), 1.0)
    assert sweeps.page().total == 2 and sweeps.page(deleted=True).total == 1


def test_what_is_to_be_attended_to(store, sweeps) -> None:
    sweep, _ = add(sweeps)
    task, _ = store.add(NewTask("t", "", "sft", "trial", "minimind", "7", {}, sweep_id=sweep.id, trial=0))
    assert [t.trial for t in store.trials(sweep.id)] == [0] and task.trial_state == ""
    sweep = sweeps.move(sweep, STOPPED, "")
    assert sweeps.to_attend() == [sweep]  # its trial is open
    store.move(task, State.STOPPED, "")
    store.set_trial_state(task, "FAILED")
    assert sweeps.to_attend() == [] and store.trials(sweep.id)[0].trial_state == "FAILED"
    hidden = sweeps.set_deleted(sweep, 1.0)
    assert sweeps.to_attend() == [hidden]  # its task is still shown
    store.set_deleted(store.get("t"), 1.0)
    assert sweeps.to_attend() == []


def test_a_summary_is_told_to_mlflow(sweeps) -> None:
    sweep, _ = add(sweeps)
    sweeps.set_mirrored(sweep)
    assert sweeps.unmirrored() == []
    sweep = sweeps.set_summary(sweep, Summary({"COMPLETE": 2}, (1,), ((0.5,),), 12.3))
    assert (sweep.counts, sweep.best, sweep.best_values, sweep.device_seconds) == (
        {"COMPLETE": 2},
        (1,),
        ((0.5,),),
        12.3,
    )
    assert Summary.of(sweep) == Summary({"COMPLETE": 2}, (1,), ((0.5,),), 12.3)
    assert [s.id for s in sweeps.unmirrored()] == [sweep.id] and sweep.unsynced
