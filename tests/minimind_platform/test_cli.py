"""The command line, with a platform that only takes notes."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from minimind_platform import cli, cli_text, tables
from minimind_platform.errors import ConflictError, NotFoundError, Problem, SettingsError, TrackingUnavailableError
from minimind_platform.tasks import Progress, State, Task, TaskEvent, TaskPage
from minimind_platform.views import Check, LogChunk, ModelVersion, Preflight

TASK = Task(
    id="abcdef0123456789abcdef0123456789",
    name="中文任务",
    type="sft",
    state=State.RUNNING,
    config={"data_path": "/d/a.jsonl", "epochs": 2, "batch_size": 16},
    created_at=1_764_000_000.0,
    device="cpu:0",
    progress=Progress(step=50, total_steps=200, loss=2.5, seconds_left=90),
)


class FakePlatform:
    def __init__(self):
        self.calls = []
        self.chunks = [LogChunk("a\nb\nc\n", 0, 6, 6, False)]

    def submit(self, type, values, **options):  # noqa: A002
        self.calls.append((type, values, options))
        return TASK

    def check(self, type, values):  # noqa: A002
        self.calls.append((type, values))
        return Check([], Preflight(1_300_000, 1000, 50_000, 40, 65.0, 10**7, 900.0, ""))

    def tasks(self, **filters):
        self.calls.append(filters)
        return TaskPage([TASK], 3, {"RUNNING": 3})

    def task(self, id):  # noqa: A002
        if not TASK.id.startswith(id):
            raise NotFoundError(f"There is no task {id!r}.")
        return TASK

    def stop(self, id):  # noqa: A002
        self.calls.append(id)
        if id == "ended":
            raise ConflictError("Task 'x' has ended already.")
        return TASK

    def retry(self, id):  # noqa: A002
        self.calls.append(id)
        if id == "old":
            raise SettingsError([Problem("data_path", "not_found", "There is no file 'a.jsonl'.")])
        return TASK

    def events(self, _id):
        return [TaskEvent(1.0, 0, "", "QUEUED", "submitted")]

    def checkpoints(self, _id):
        raise TrackingUnavailableError

    def models(self):
        return [ModelVersion("m", 3, TASK.id, "sft", 50, 2.5, None, 1000, 1.0, ["last"], 5, "")]

    def log(self, _id, offset=-1, _limit=0):
        return self.chunks.pop(0) if self.chunks else LogChunk("", offset, offset, offset, False)

    def scheduler_alive(self):
        return True


@pytest.fixture
def platform():
    return FakePlatform()


@pytest.fixture
def run(platform, capsys):
    def call(*words):
        code = cli.main(words, platform)
        return code, *capsys.readouterr()

    return call


def test_both_spellings_of_a_setting_work(run, platform):
    run("submit", "sft", "--data_path", "a", "--batch-size", "8", "--learning_rate=1e-4", "--use-moe", "--name", "n")
    type_name, values, options = platform.calls[0]
    assert (type_name, options["name"]) == ("sft", "n")
    assert values == {"data_path": "a", "batch_size": "8", "learning_rate": "1e-4", "use_moe": "true"}


def test_minimind_names_work(run, platform):
    run("submit", "full_sft", "--data_path", "a", "--use_compile", "1")
    assert platform.calls[0][:2] == ("sft", {"data_path": "a", "compile": "1"})


def test_settings_win_over_the_preset(run, platform):
    run("submit", "pretrain", "--preset", "tiny", "--data_path", "a", "--hidden_size", "64")
    values = platform.calls[0][1]
    assert (values["hidden_size"], values["num_hidden_layers"]) == ("64", 2)


def test_settings_win_over_the_values_to_begin_with(run, platform):
    run("submit", "grpo", "--start", "short-answers", "--data_path", "a", "--beta", "0.5")
    values = platform.calls[0][1]
    assert (values["beta"], values["max_gen_len"], values["thinking_ratio"]) == ("0.5", 32, 0.0)


def test_check_only_tells_what_it_takes(run):
    code, out, _ = run("submit", "pretrain", "--data_path", "a", "--check")
    assert code == 0
    assert "1.3M parameters" in out
    assert "65 s" in out


def test_clone_changes_what_is_given(run, platform):
    code, *_ = run("clone", "abcdef01", "--epochs", "5", "--name", "again")
    _, values, options = platform.calls[0]
    assert code == 0
    assert values == TASK.config | {"epochs": "5"}
    assert options == {"name": "again", "priority": 0, "parent_id": TASK.id}


def test_a_listing_is_aligned_with_chinese_names(run):
    _, out, _ = run("tasks")
    head, row, _more = out.splitlines()
    assert tables.width(head[: head.index("TYPE")]) == tables.width(row[: row.index("sft")])
    assert "25% (90 s left)" in row or "25% (2 min left)" in row


def test_filters_reach_the_platform(run, platform):
    run("tasks", "--state", "running,queued", "--type", "sft", "--limit", "5", "two", "words")
    expected = {"states": [State.RUNNING, State.QUEUED], "types": ["sft"], "words": "two words", "limit": 5}
    usual = {"deleted": False, "archived": False, "trials": True, "sweep_id": "", "sort": "created", "descending": True}
    assert platform.calls[0] == usual | expected
    run("tasks", "--archived", "--no-trials", "--sort", "loss", "--ascending")
    chosen = {"archived": True, "trials": False, "sort": "loss", "descending": False}
    assert chosen.items() <= platform.calls[1].items()


def test_every_listing_speaks_json(run):
    assert json.loads(run("tasks", "--json")[1])["tasks"][0]["state"] == "RUNNING"
    assert json.loads(run("models", "--json")[1])[0]["version"] == 3
    shown = json.loads(run("show", "abcd", "--json")[1])
    assert shown["id"] == TASK.id
    assert shown["events"][0]["after"] == "QUEUED"


def test_a_waiting_task_is_shown_with_its_place():
    waiting = replace(TASK, state=State.QUEUED, waits_for="waits for its turn")
    facts = dict(cli_text.facts(waiting, place=7))
    assert (facts["State"], facts["Place"]) == ("QUEUED, waits for its turn", "7 in the queue")
    assert "Place" not in dict(cli_text.facts(TASK))


def test_merge_is_the_trainer_s_own_command(capfd):
    assert cli.main(["merge", "--help"]) == 0
    assert "--lora ADAPTERS" in capfd.readouterr().out
    assert cli.main(["merge", "--out", "x"]) == 2
    assert "required: --lora" in capfd.readouterr().err


def test_show_works_without_the_tracking_server(run):
    code, out, _ = run("show", "abcdef01")
    assert code == 0
    assert "step 50 of 200" in out
    assert "does not answer" in out


def test_logs_begin_with_the_last_lines(run):
    assert run("logs", "abcdef01", "-n", "2")[1] == "b\nc\n"


def test_one_failure_does_not_keep_the_others(run, platform):
    code, out, err = run("stop", "ended", "abcdef01")
    assert (code, platform.calls) == (1, ["ended", "abcdef01"])
    assert "stops" in out
    assert "ended already" in err


def test_a_retry_with_bad_settings_names_its_task_and_the_others_go_on(run, platform):
    code, out, err = run("retry", "old", "abcdef01")
    assert (code, platform.calls) == (1, ["old", "abcdef01"])
    assert TASK.name in out
    assert err.startswith("old: ")
    assert "a.jsonl" in err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["show", "zzzz"], 1, "There is no task"),
        (["tasks", "--state", "BUSY"], 2, "QUEUED"),
    ],
)
def test_errors_are_sentences_with_an_exit_code(run, words, code, text):
    got, _, err = run(*words)
    assert got == code
    assert text in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["tasks", "--nope"], ["submit", "kto"], ["submit", "sft", "--nope", "1"], []])
def test_wrong_usage_ends_with_two(words, platform):
    with pytest.raises(SystemExit) as caught:
        cli.main(words, platform)
    assert caught.value.code == 2


def test_a_folder_without_a_platform_is_left_as_it_is(tmp_path, capsys):
    assert cli.main(["--home", str(tmp_path), "tasks"]) == 1
    assert "minimind up" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_help_is_fast_and_loads_nothing_heavy():
    code = (
        "import sys; from minimind_platform import cli\n"
        "try: cli.main(['submit', 'sft', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'mlflow', 'sqlalchemy', 'httpx', 'tokenizers', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    after = os.times()
    assert done.returncode == 0, done.stderr
    assert "--learning_rate" in done.stdout
    worked = after.children_user + after.children_system - before.children_user - before.children_system
    assert worked < 3.0  # seconds of a processor, whatever else runs; 0.25 s


def test_a_training_by_rewards_is_listed_with_its_reward():
    task = replace(TASK, type="grpo", progress=Progress(step=5, loss=-0.01, reward=0.5, eval_reward=0.25))
    assert "reward 0.5" in cli_text.task_row(task)
    assert ("Eval reward", "0.25") in cli_text.facts(task)
    version = ModelVersion("m", 3, TASK.id, "grpo", 5, -0.01, None, 1000, 1.0, [], 5, "", eval_reward=0.25)
    assert "reward 0.25" in cli_text.model_row(version) and "reward 0.25" in cli_text.checkpoint_row(version)


def test_columns_durations_and_sizes():
    assert tables.width("中a") == 3
    assert tables.table(["A", "B"], [["中", "x\ny"]]) == "A   B\n中  x y"
    assert [tables.duration(s) for s in (5, 600, 7200, 400_000)] == ["5 s", "10 min", "2.0 h", "4.6 days"]
    assert [tables.size(n) for n in (5, 1500, 2e9)] == ["5 B", "1.5 kB", "2.0 GB"]
    assert [tables.amount(n) for n in (900, 25_000, 63.9e6)] == ["900", "25.0k", "63.9M"]
