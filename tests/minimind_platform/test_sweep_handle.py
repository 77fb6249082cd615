"""Sweeps from Python, with the real service, queue, study and loop. A formula trains, and MLflow takes everything."""

import math
import time
import typing
import uuid
import warnings

import pytest

from minimind_platform import (
    ConflictError,
    ModelVersion,
    NotFoundError,
    Platform,
    Settings,
    SettingsError,
    State,
    SweepState,
    TrialState,
    patience,
)
from minimind_platform.exports import Model, best_of
from minimind_platform.sweeps.handle import SweepPausedError
from minimind_platform.sweeps.loop import SweepLoop
from minimind_platform.sweeps.spec import Options, SweepOptions
from minimind_platform.tracking_client import TrackingClient
from trainer.spool import Spool

QUICK = {"n_trials": 4, "parallel": 2, "sampler": "random", "pruner": "none"}


def answered(call, body):
    if call == "runs/create":
        return {"run": {"info": {"run_id": uuid.uuid4().hex}}}
    if call == "experiments/get-by-name":
        return {"experiment": {"experiment_id": "1"}}
    return {}


class Hands:
    """Does what the scheduler does, one training whenever somebody waits."""

    def __init__(self, platform):
        self.platform = platform
        self.loop = SweepLoop(platform, platform._store)
        self.trained = []
        self.fails = False

    def work(self, _seconds=0.0):
        self.loop.round()
        store = self.platform._store
        if task := store.claim({"cpu": ["cpu:0"]}, time.time()):
            spool = Spool(self.platform.settings.task_dir(task.id))
            task = store.move(task, State.RUNNING, "starts")
            self.trained.append(task.config)
            if self.fails:
                store.move(task, State.FAILED, "fails", error="No memory.", error_class="out_of_memory")
            else:
                spool.write("begin", attempt=1, step=0, total_steps=10, epochs=1)
                spool.metrics(10, {"eval/loss": abs(math.log10(task.config["learning_rate"]) + 4)})
                store.move(task, State.FINISHED, "done")
            store.release(task.id)
            spool.close()


@pytest.fixture
def platform(tmp_path, monkeypatch):
    monkeypatch.setattr(TrackingClient, "get", lambda self, call, **body: answered(call, body))
    monkeypatch.setattr(TrackingClient, "post", lambda self, call, **body: answered(call, body))
    monkeypatch.setattr(TrackingClient, "put_artifact", lambda *_: None)
    monkeypatch.setattr(Platform, "scheduler_alive", lambda self: True)
    (tmp_path / "dataset").mkdir()
    row = '{"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    (tmp_path / "dataset" / "s.jsonl").write_text(row * 10)
    return Platform(Settings(home=tmp_path))


@pytest.fixture
def hands(platform, monkeypatch):
    hands = Hands(platform)
    monkeypatch.setattr(patience.time, "sleep", hands.work)
    return hands


@pytest.fixture
def values(platform):
    return {"data_path": "s.jsonl", "hidden_size": 64, "num_hidden_layers": 1, "from_weight": "none"}


def test_a_sweep_begins_at_once_and_is_waited_for(platform, hands, values):
    sweep = platform.sweep("sft", values, ["learning_rate"], name="one", **QUICK)
    assert sweep.state is SweepState.RUNNING
    assert sweep.trials == []
    with pytest.raises(NotFoundError, match="No trial"):
        sweep.best_trial  # noqa: B018
    assert sweep.wait() is sweep
    assert (sweep.state, sweep.name, len(sweep.trials)) == (SweepState.FINISHED, "one", 4)
    best = min(sweep.trials, key=lambda trial: trial.values)
    assert sweep.best_trial == best
    assert sweep.best_trials == [best]
    assert best.params.keys() == {"learning_rate"}
    assert sweep.study.best_trial.number == best.number
    assert "FINISHED: 4 of 4 trials, best" in repr(sweep)
    assert platform.open_sweep("one").id == platform.open_sweep(sweep.id[:8]).id == sweep.id


def test_trials_are_told_as_they_end(platform, hands, values):
    sweep = platform.sweep("sft", values, {"learning_rate": [1e-3, 1e-4, 1e-5]}, **QUICK | {"sampler": "grid"})
    seen = []
    for trial in sweep.follow():
        seen.append(trial.number)
        if len(seen) == 1:
            assert len(hands.trained) < 3
    assert sorted(seen) == [0, 1, 2]
    assert sorted(trial.number for trial in sweep.follow()) == [0, 1, 2]


def test_its_table_has_one_row_a_trial(platform, hands, values):
    sweep = platform.sweep("sft", values, {"learning_rate": [1e-3, 1e-4]}, **QUICK | {"sampler": "grid"})
    assert sweep.dataframe().empty
    frame = sweep.wait().dataframe()
    assert list(frame.columns[:3]) == ["state", "metrics.eval/loss", "params.learning_rate"]
    assert frame["metrics.eval/loss"].tolist() == pytest.approx([1.0, 0.0])
    assert frame.loc[1, "task_id"] == sweep.best_trial.task_id
    assert frame["seconds"].notna().all()
    tasks = platform.dataframe([trial.task_id for trial in sweep.trials])
    assert tasks["params.learning_rate"].tolist() == [1e-3, 1e-4]


def test_a_key_gives_the_same_sweep(platform, values):
    first = platform.sweep("sft", values, ["learning_rate"], name="one", key="k", **QUICK)
    assert platform.sweep("sft", values, ["learning_rate"], name="one", key="k", **QUICK).id == first.id
    with pytest.raises(SettingsError, match="'one' already"):
        platform.sweep("sft", values, ["learning_rate"], name="one", **QUICK)


def test_objectives_are_one_or_several(platform, values):
    one = platform.sweep("sft", values, ["learning_rate"], metric="train/loss", direction="maximize", **QUICK)
    assert [(o.metric, o.direction) for o in one.info.spec.objectives] == [("train/loss", "maximize")]
    both = ["eval/loss", {"metric": "perf/tokens_per_second"}]
    several = platform.sweep("sft", values, ["learning_rate"], objectives=both, **QUICK)
    assert [o.direction for o in several.info.spec.objectives] == ["minimize", "maximize"]
    with pytest.raises(TypeError):
        platform.sweep("sft", values, ["learning_rate"], objectives=both, metric="train/loss")


def test_all_that_is_wrong_is_told_at_once(platform, values):
    with pytest.raises(SettingsError) as caught:
        platform.sweep("sft", values, {"learning_rate": (1, 0.1), "nothing": [1]}, n_trials=0, samples=3)
    told = {problem.field for problem in caught.value.problems}
    assert told >= {"search.learning_rate", "search.nothing", "n_trials", "samples"}
    with pytest.raises(SettingsError, match="at least one setting"):
        platform.sweep("sft", values)
    assert platform.sweeps.page().total == 0


def test_an_editor_knows_all_options():
    assert typing.get_type_hints(SweepOptions).keys() == Options.model_fields.keys()
    for name, kind in typing.get_type_hints(SweepOptions).items():
        assert Options.model_fields[name].annotation == kind


def test_a_pause_is_an_error_that_says_why(platform, hands, values):
    hands.fails = True
    sweep = platform.sweep("sft", values, ["learning_rate"], name="one", **QUICK | {"parallel": 1})
    with pytest.raises(SweepPausedError, match=r"'one' is paused: 3 trials in a row.*No memory\.$"):
        sweep.wait()
    with pytest.raises(SweepPausedError):
        list(sweep.follow())
    hands.fails = False
    sweep.resume()
    assert sweep.wait().state is SweepState.FINISHED


def test_a_timeout_says_how_far_it_is(platform, values):
    sweep = platform.sweep("sft", values, ["learning_rate"], name="one", **QUICK)
    with pytest.raises(TimeoutError, match=r"'one' RUNNING: 0 of 4 trials.*Nothing was stopped"):
        sweep.wait(timeout=0)


def test_ctrl_c_says_that_it_goes_on(platform, values, monkeypatch):
    sweep = platform.sweep("sft", values, ["learning_rate"], name="one", **QUICK)
    monkeypatch.setattr(patience.time, "sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt, match="'one' goes on"):
        sweep.wait()
    assert sweep.state is SweepState.RUNNING


def test_its_course_can_be_changed(platform, hands, values):
    sweep = platform.sweep("sft", values, {"learning_rate": (1e-5, 1e-2)}, **QUICK).wait()
    best = sweep.best_trial.number
    assert sweep.exclude(best).excluded
    assert sweep.best_trial.number != best
    sweep.exclude(best, False)
    added = sweep.add_trial({"learning_rate": 1e-4})
    assert added.state is TrialState.WAITING
    sweep.extend(n_trials=1)
    sweep.wait()
    assert len(sweep.trials) == 6
    assert sweep.best_trial.number == added.number
    task = sweep.promote(values={"epochs": 7}, name="in full")
    assert (task.name, task.config["epochs"], task.config["learning_rate"]) == ("in full", 7, 1e-4)
    with pytest.raises(ConflictError):
        sweep.stop()


# define-by-run


def test_a_function_chooses_the_settings(platform, hands, values):
    def settings(trial):
        rate = trial.suggest_float("rate", 1e-5, 1e-2, log=True)
        return {"learning_rate": rate, "batch_size": 4 if rate < 1e-3 else 8}

    sweep = platform.sweep("sft", values, settings, **QUICK)
    hands.work()
    assert hands.trained == []  # the program has not asked yet
    sweep.wait()
    assert sweep.state is SweepState.FINISHED
    assert [trial.params.keys() for trial in sweep.trials] == [{"rate"}] * 4
    rates = sorted(trial.params["rate"] for trial in sweep.trials)
    assert sorted(config["learning_rate"] for config in hands.trained) == pytest.approx(rates)
    assert {config["batch_size"] for config in hands.trained} <= {4, 8}


def test_a_function_may_give_all_settings(platform, hands, values):
    sweep = platform.sweep("sft", lambda trial: values | {"learning_rate": 1e-4}, n_trials=1)
    assert sweep.wait().best_trial.values == (0.0,)


def test_no_more_than_wanted_are_asked_for(platform, values):
    sweep = platform.sweep("sft", values, lambda trial: {"learning_rate": 1e-4}, **QUICK)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            sweep.wait(timeout=0)
    assert [trial.state for trial in sweep.trials] == [TrialState.RUNNING] * 2


def test_what_a_program_has_begun_another_goes_on_with(platform, hands, values):
    asked = []

    def settings(trial):
        asked.append(trial.number)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return {"learning_rate": 10 ** -trial.suggest_int("n", 2, 5)}

    sweep = platform.sweep("sft", values, settings, name="mine", **QUICK)
    with pytest.raises(KeyboardInterrupt, match="new ones begin when it is waited for again"):
        sweep.wait()
    opened = platform.open_sweep("mine")
    assert opened.run(settings).state is SweepState.FINISHED
    assert [trial.state for trial in opened.trials] == [TrialState.COMPLETE] * 4
    assert sorted(set(asked)) == [0, 1, 2, 3]


def test_an_error_of_the_function_is_the_programs(platform, hands, values):
    def settings(trial):
        raise ZeroDivisionError("in my function")

    sweep = platform.sweep("sft", values, settings, **QUICK)
    with pytest.raises(ZeroDivisionError, match="in my function"):
        sweep.wait()
    [trial] = sweep.trials
    assert trial.state is TrialState.FAILED
    assert "in my function" in trial.reason


def test_a_sweep_that_nobody_asks_for_is_not_silent(platform, values, monkeypatch):
    sweep = platform.sweep("sft", values, lambda trial: {}, name="mine", **QUICK)
    monkeypatch.setattr(patience.time, "sleep", lambda _: None)
    with pytest.warns(RuntimeWarning, match=r"run\(\)") as told, pytest.raises(TimeoutError):
        platform.open_sweep("mine").wait(timeout=0.02)
    assert len(told) == 1
    with warnings.catch_warnings(), pytest.raises(TimeoutError):
        warnings.simplefilter("error")
        sweep.wait(timeout=0)


# the best model


def version(step, **values):
    facts = {"loss": 1.0, "eval_loss": None, "bytes": 1, "created_at": 1.0, "aliases": [], "parameters": 1}
    return ModelVersion("m", step, "t", "sft", step, **facts | {"sha256": ""} | values)


def test_the_best_checkpoint_is_that_of_the_best_evaluation():
    assert best_of([version(3, eval_loss=2.0), version(2, eval_loss=1.0), version(4)]).step == 2
    assert best_of([version(3, eval_reward=2.0), version(2, eval_reward=1.0)]).step == 3
    assert best_of([version(2, eval_loss=1.0), version(3, eval_loss=1.0)]).step == 3
    assert best_of([version(1), version(3), version(2)]).step == 3
    with pytest.raises(NotFoundError, match="registered"):
        best_of([])


def test_an_export_is_what_a_model_needs(platform, tmp_path, monkeypatch):
    source = tmp_path / "step_1"
    (source / "trainer_state").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "manifest.json", "trainer_state/rank.pt"):
        (source / name).write_text(name)
    monkeypatch.setattr(platform._models, "local_folder", lambda *_: source)
    model = Model(version(1), platform)
    assert model.uri == "models:/m/1"
    target = model.export(tmp_path / "new" / "best")
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "model.safetensors"]
    (target / "old.txt").write_text("mine")
    with pytest.raises(ConflictError, match="there already") as caught:
        model.export(target)
    assert "replace=True" in caught.value.hint
    assert (target / "old.txt").exists()
    model.export(target, replace=True)
    assert not (target / "old.txt").exists()
    assert [path.name for path in target.parent.iterdir()] == ["best"]
