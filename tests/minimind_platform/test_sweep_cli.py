"""The commands about sweeps, with a service that only takes notes, and what is read from their words."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from minimind_platform import cli, cli_sweep_text
from minimind_platform.cli_search import read_search
from minimind_platform.errors import ConflictError, NotFoundError, SettingsError
from minimind_platform.sweeps.handle import SweepPausedError
from minimind_platform.sweeps.space import read_space
from minimind_platform.sweeps.spec import read_spec
from minimind_platform.sweeps.views import Sweep, SweepCheck, SweepPage, SweepState, Trial, TrialState
from minimind_platform.tasks import State, Task
from minimind_platform.views import Preflight

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [(ROOT / name).read_text(encoding="utf-8").replace("\\\n", "") for name in ("docs/sweeps.md", "README.md")]
EXAMPLES = [line for text in TEXTS for line in re.findall(r"^minimind sweep.*$", text, re.MULTILINE)]
SEARCHED = ["learning_rate", "batch_size", "warmup_steps"]
SPEC = read_spec("sft", {"data_path": "a.jsonl", "epochs": 2}, SEARCHED, {"n_trials": 10})
SWEEP = Sweep(
    "abcdef0123456789abcdef0123456789",
    "搜索 one",
    SweepState.RUNNING,
    SPEC,
    1_764_000_000.0,
    counts={"COMPLETE": 1, "PRUNED": 1, "RUNNING": 2},
    best=(1,),
    best_values=((2.3125,),),
)
TRIALS = [
    Trial(0, TrialState.PRUNED, {"learning_rate": 1e-5, "batch_size": 8}, (3.0,), reason="others were better"),
    Trial(1, TrialState.COMPLETE, {"learning_rate": 1.23456e-4, "batch_size": 16}, (2.3125,), task_id="77" * 16),
    Trial(2, TrialState.RUNNING, {"learning_rate": 1e-3, "batch_size": 8}),
]
TASK = Task("99" * 16, "in full", "sft", State.QUEUED, {}, 1_764_000_000.0)


class FakeSweeps:
    def __init__(self):
        self.calls = []

    def create(self, *words, **more):
        self.calls.append((words, more))
        read_spec(*words, more["options"], more["objectives"])  # as the service does
        return SWEEP

    def check(self, *words, name=""):
        self.calls.append((words, name))
        try:
            spec = read_spec(*words)
        except SettingsError as error:
            return SweepCheck(error.problems)
        return SweepCheck([], list(spec.params), spec.combinations, Preflight(10**6, 9, 9, 9, 9.0, 9, 9.0, ""))

    def page(self, **filters):
        self.calls.append(filters)
        return SweepPage([SWEEP], 3)

    def get(self, id):  # noqa: A002
        if not SWEEP.id.startswith(id) and id != "first":
            raise NotFoundError(f"There is no sweep {id!r}.")
        return SWEEP

    def trials(self, id):  # noqa: A002
        return TRIALS

    def stop(self, id):  # noqa: A002
        self.calls.append(id)
        if id == "ended":
            raise ConflictError("Sweep 'x' has ended already.")
        return SWEEP

    resume = delete = restore = stop

    def extend(self, id, **more):  # noqa: A002
        self.calls.append((id, more))
        return SWEEP

    def exclude(self, id, number, excluded):  # noqa: A002
        self.calls.append((id, number, excluded))

    def add_trial(self, id, params):  # noqa: A002
        self.calls.append((id, params))
        return Trial(3, TrialState.WAITING, params)

    def promote(self, id, number, values, **more):  # noqa: A002
        self.calls.append((id, number, values, more))
        return TASK


class FakePlatform:
    def __init__(self):
        self.sweeps = FakeSweeps()

    def scheduler_alive(self):
        return True

    def open_sweep(self, id):  # noqa: A002
        return self

    # as a handle

    info, best_trials = SWEEP, TRIALS[1:2]

    def follow(self):
        yield TRIALS[1]
        raise SweepPausedError("Sweep 'x' is paused: no memory.", "Resume it.")


@pytest.fixture
def platform():
    return FakePlatform()


@pytest.fixture
def calls(platform):
    return platform.sweeps.calls


@pytest.fixture
def run(platform, capsys):
    def call(*words):
        code = cli.main(words, platform)
        return code, *capsys.readouterr()

    return call


# what is searched


def test_a_search_is_read_from_words():
    words = ["learning_rate=1e-5:1e-3:log", "batch-size=8,16, 32", "warmup_steps", "max_seq_len=64:256:64"]
    found = read_search("sft", [*words, "num_experts=2,4 if use_moe=true and hidden-size=64,128"])
    assert found == {
        "learning_rate": {"low": "1e-5", "high": "1e-3", "log": True},
        "batch_size": {"choices": ["8", "16", "32"]},
        "warmup_steps": None,
        "max_seq_len": {"low": "64", "high": "256", "step": "64"},
        "num_experts": {"choices": ["2", "4"], "when": {"use_moe": ["true"], "hidden_size": ["64", "128"]}},
    }
    params = {param.name: param for param in read_space("sft", found)}
    assert (params["learning_rate"].low, params["learning_rate"].log) == (1e-5, True)
    assert params["batch_size"].choices == (8, 16, 32)
    assert params["max_seq_len"].count == 4


def test_a_condition_alone_keeps_the_usual_range():
    assert read_search("sft", ["num_experts if use_moe=true"]) == {"num_experts": {"when": {"use_moe": ["true"]}}}


def test_choices_may_hold_colons_and_commas():
    assert read_search("sft", ["from_weight=models:/a@best,models:/b@best"]) == {
        "from_weight": {"choices": ["models:/a@best", "models:/b@best"]}
    }
    assert read_search("sft", ['data_path=["a,b.jsonl", "c.jsonl"]'])["data_path"]["choices"] == [
        "a,b.jsonl",
        "c.jsonl",
    ]


def test_minimind_names_can_be_searched():
    assert list(read_search("sft", ["use_compile"])) == ["compile"]


def test_all_that_cannot_be_understood_is_told_at_once():
    with pytest.raises(SettingsError) as caught:
        read_search("sft", ["epochs=1:2:3:4", "epochs=1,2", "batch_size=", "warmup_steps if use_moe", "data_path=[x"])
    problems = caught.value.problems
    assert [p.field for p in problems] == [f"search.{n}" for n in ("epochs", "batch_size", "warmup_steps", "data_path")]
    assert "LOW:HIGH:log" in problems[0].message


def test_objectives_are_read_from_words():
    read = cli_sweep_text.read_objectives
    assert read(["eval/loss", "perf/tokens_per_second:mean:maximize"], "") == [
        {"metric": "eval/loss"},
        {"metric": "perf/tokens_per_second", "taken": "mean", "direction": "maximize"},
    ]
    assert read(["eval/loss"], "maximize") == [{"metric": "eval/loss", "direction": "maximize"}]
    assert read([], "") == []
    for metrics, direction in ((["a:up"], ""), (["a", "b"], "minimize")):
        with pytest.raises(SettingsError):
            read(metrics, direction)


# the commands


def test_sweep_takes_settings_space_and_options(run, calls):
    words = (
        "--data_path",
        "a",
        "--batch-size",
        "8",
        "--search",
        "learning_rate=1e-5:1e-3:log",
        "--metric",
        "eval/loss",
    )
    code, out, _ = run("sweep", "sft", *words, "--n-trials", "20", "--parallel", "2", "--name", "n", "--key", "k")
    (type_name, values, search), more = calls[0]
    assert (code, type_name, values) == (0, "sft", {"data_path": "a", "batch_size": "8"})
    assert search == {"learning_rate": {"low": "1e-5", "high": "1e-3", "log": True}}
    options = {"n_trials": "20", "parallel": "2"}
    assert more == {"name": "n", "key": "k", "options": options, "objectives": [{"metric": "eval/loss"}]}
    assert "minimind sweep-show abcdef01" in out


@pytest.mark.parametrize("words", EXAMPLES)
def test_the_examples_of_the_documentation_work(run, words):
    code, _, err = run(*shlex.split(words)[1:])
    assert (code, err) == (0, "")


def test_settings_with_the_name_of_an_option_can_be_set_too(run, calls):
    run("sweep", "sft", "--data_path", "a", "--search", "epochs", "--seed", "1", "--trial_seed", "2")
    (_, values, _), more = calls[0]
    assert values == {"data_path": "a", "seed": "2"}
    assert more["options"] == {"seed": "1"}


def test_presets_and_starts_hold_for_all_trials(run, calls):
    run("sweep", "grpo", "--preset", "tiny", "--start", "short-answers", "--data_path", "a", "--search", "beta")
    values = calls[0][0][1]
    assert (values["hidden_size"], values["max_gen_len"]) == (128, 32)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--search", "learning_rate=1:0.1", "--search", "nothing"], ["--search learning_rate", "--search nothing"]),
        (["--search", "batch_size=a:b:c:d"], ["--search batch_size", "LOW:HIGH"]),
        (["--search", "epochs", "--n-trials", "none"], ["--n_trials"]),
        ([], ["--search: Choose at least one"]),
    ],
)
def test_bad_input_is_told_all_at_once(run, words, told):
    for more in ([], ["--dry-run"]):
        code, _, err = run("sweep", "sft", "--data_path", "a", *words, *more)
        assert code == 2
        assert all(text in err for text in told), err


def test_a_dry_run_tells_the_space_and_begins_nothing(run, calls):
    words = ("--data_path", "a", "--search", "batch_size=8,16", "--search", "epochs=1:3")
    code, out, _ = run("sweep", "sft", *words, "--dry-run", "--name", "n")
    assert code == 0
    assert "batch_size  8, 16" in out
    assert "6 combinations" in out
    assert "1.0M parameters" in out
    assert calls[0][1] == "n"
    assert len(calls) == 1
    found = json.loads(run("sweep", "sft", *words, "--dry-run", "--json")[1])
    assert found["params"]["epochs"] == {"low": 1, "high": 3}


def test_following_tells_trials_and_why_it_paused(run):
    code, out, err = run("sweep", "sft", "--data_path", "a", "--search", "epochs", "--follow")
    assert code == 1
    assert "Trial 1  complete  eval/loss 2.312  learning_rate 0.0001235, batch_size 16" in out
    assert "no memory" in err


def test_the_listing_is_short_and_speaks_json(run, calls):
    code, out, _ = run("sweeps", "--state", "running,paused", "two", "words", "--limit", "5")
    assert code == 0
    expected = {"words": "two words", "states": [SweepState.RUNNING, SweepState.PAUSED]}
    assert calls[0] == expected | {"deleted": False, "limit": 5}
    assert "2 of 10" in out
    assert "2.312" in out
    found = json.loads(run("sweeps", "--json")[1])["sweeps"][0]
    assert found["spec"]["params"][0]["name"] == "learning_rate"
    assert found["best_values"] == [[2.3125]]
    assert run("sweeps", "--state", "gone")[0] == 2


def test_one_sweep_is_shown_with_its_trials(run):
    _, out, _ = run("sweep-show", "abcdef")
    assert "minimize eval/loss (best)" in out
    assert "Best\n  Trial 1  complete" in out
    rows = out.partition("Trials\nNO")[2].splitlines()
    assert rows[1].split()[:2] == ["0", "PRUNED"]
    assert rows[1].endswith("others were better")
    assert json.loads(run("sweep-show", "abcdef", "--json")[1])["trials"][1]["params"]["batch_size"] == 16
    assert run("sweep-show", "nothing")[0] == 1


def test_following_tells_only_what_is_new(run, platform):
    platform.info = replace(SWEEP, state=SweepState.FINISHED, reason="10 trials were made")
    platform.follow = lambda: iter(TRIALS[:2])
    platform.sweeps.trials = lambda _id: [replace(TRIALS[0], ended_at=5.0), TRIALS[1]]
    code, out, _ = run("sweep-show", "abcdef", "-f")
    followed = out.partition("Trials\nNO")[2]
    assert code == 0
    assert "Trial 0" not in followed
    assert "Trial 1  complete" in followed
    assert "is finished: 10 trials were made" in followed


def test_a_trial_that_waits_for_a_device_is_not_said_to_run(run, platform):
    platform.sweeps.trials = lambda _id: [replace(TRIALS[2], task_state=State.QUEUED)]
    assert "2   QUEUED" in run("sweep-show", "abcdef")[1]


def test_one_that_fails_does_not_keep_the_others_from_it(run, calls):
    code, out, err = run("sweep-stop", "ended", "abcdef")
    assert code == 1
    assert calls == ["ended", "abcdef"]
    assert "stops" in out
    assert "ended already" in err
    for name in ("resume", "delete", "restore"):
        assert run(f"sweep-{name}", "abcdef")[0] == 0


def test_extending_takes_what_is_given(run, calls):
    assert run("sweep-extend", "abc", "--n-trials", "10", "--parallel", "4")[0] == 0
    assert calls == [("abc", {"n_trials": "10", "parallel": "4"})]


def test_excluding_can_be_undone(run, calls):
    run("sweep-exclude", "abc", "1", "2")
    run("sweep-exclude", "abc", "1", "--undo")
    assert calls == [("abc", 1, True), ("abc", 2, True), ("abc", 1, False)]


def test_promoting_takes_a_trial_and_changes(run, calls):
    code, out, _ = run("sweep-promote", "abcdef", "--epochs", "4", "--name", "long")
    assert code == 0
    assert calls[-1] == (SWEEP.id, None, {"epochs": "4"}, {"name": "long", "key": ""})
    assert "minimind logs -f 99999999" in out
    run("sweep-promote", "abcdef", "3", "--epochs", "4")
    assert calls[-1][1:3] == (3, {"epochs": "4"})


def test_the_home_may_stand_behind_a_sweep(tmp_path, capsys):
    assert cli.main(["sweep-promote", "abcdef", "--epochs", "4", "--home", str(tmp_path)]) == 1
    assert f"no MiniMind Platform in {tmp_path}" in capsys.readouterr().err


def test_adding_takes_the_searched_settings_only(run, calls):
    assert run("sweep-add", "abcdef", "--learning-rate", "1e-4")[0] == 0
    assert calls[-1] == (SWEEP.id, {"learning_rate": "1e-4"})
    with pytest.raises(SystemExit) as ended:
        run("sweep-add", "abcdef", "--epochs", "3")
    assert ended.value.code == 2
