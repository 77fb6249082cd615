import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from minimind_platform import devices, local_executor, runner
from minimind_platform.errors import PlatformError
from minimind_platform.executors import Executor, LaunchSpec, Seen
from minimind_platform.local_executor import LocalExecutor, strays, trainer_command
from minimind_platform.settings import Settings
from trainer.names import Outcome

TABLE = "0, GPU-aaa, NVIDIA L4, 23034, 3\n1, GPU-bbb, NVIDIA L4, [N/A], [N/A]\n"


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path, stop_grace_seconds=5)


def spec(settings, attempt=1, device="cpu:0"):
    return LaunchSpec("ab12", attempt, "sft", {"epochs": 1}, settings.task_dir("ab12"), device)


def shell(settings, script) -> Executor:
    return LocalExecutor(settings, lambda _: ["sh", "-c", script])


def wait_for(executor, token, *seen, seconds=10.0):
    give_up = time.monotonic() + seconds
    while (now := executor.poll([token])[token]) not in seen:
        assert time.monotonic() < give_up, f"still {now}"
        time.sleep(0.02)
    return now


def log(settings):
    return (settings.task_dir("ab12") / "log.txt").read_text()


def test_an_attempt_runs_and_its_ending_can_be_read(settings):
    executor, attempt = shell(settings, "sleep 0.2; echo oops; exit 3"), spec(settings)
    assert executor.poll([attempt.token]) == {"ab12/1": Seen.PENDING}
    executor.submit(attempt)
    wait_for(executor, attempt.token, Seen.RUNNING)
    wait_for(executor, attempt.token, Seen.ENDED)
    ending = executor.ending(attempt.token)
    assert (ending.rc, ending.signal, ending.outcome, ending.last_words) == (3, None, None, "oops")


def test_what_the_trainer_says_is_part_of_the_ending(settings):
    result = {"outcome": "failed", "error": "no rows", "error_class": "data", "hint": "add some"}
    executor = shell(settings, f"echo '{json.dumps(result)}' > $MINIMIND_TASK_DIR/result.json; exit 2")
    executor.submit(spec(settings))
    wait_for(executor, "ab12/1", Seen.ENDED)
    ending = executor.ending("ab12/1")
    assert (ending.outcome, ending.error, ending.hint) == (Outcome.FAILED, "no rows", "add some")


def test_submitting_twice_starts_once(settings):
    executor = shell(settings, "echo started; sleep 0.3")
    for _ in range(3):
        executor.submit(spec(settings))
    wait_for(executor, "ab12/1", Seen.ENDED)
    executor.submit(spec(settings))
    wait_for(executor, "ab12/1", Seen.ENDED)
    assert log(settings) == "started\n"


def test_the_config_file_is_written_if_it_is_missing(settings):
    executor = shell(settings, "cat $MINIMIND_TASK_DIR/config.json")
    executor.submit(spec(settings))
    wait_for(executor, "ab12/1", Seen.ENDED)
    assert json.loads(log(settings)) == {"type": "sft", "config": {"epochs": 1}}


@pytest.mark.fault("argument injection")
def test_the_command_line_holds_no_values_of_the_user(settings):
    config = str(settings.task_dir("ab12") / "config.json")
    assert trainer_command(spec(settings)) == [sys.executable, "-m", "trainer", "sft", "--config", config]


@pytest.mark.fault("secrets in logs or params")
def test_the_environment_is_an_allow_list(settings, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("MINIMIND_DATABASE_URL", "postgresql://canary@db")
    monkeypatch.setenv("HF_HOME", "/models")
    executor = shell(settings, "env")
    executor.submit(spec(settings))
    wait_for(executor, "ab12/1", Seen.ENDED)
    env = dict(line.split("=", 1) for line in log(settings).splitlines())
    assert "canary" not in log(settings)
    assert env["HF_HOME"] == "/models"
    assert env["CUDA_VISIBLE_DEVICES"] == ""
    assert env["MLFLOW_RUN_ID"] == "ab12"
    assert env["MLFLOW_TRACKING_URI"] == settings.tracking
    assert env["MINIMIND_TASK_DIR"] == str(settings.task_dir("ab12"))
    assert env["MINIMIND_ARTIFACTS_DIR"] == str(settings.artifacts_dir)
    assert env["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert env["PWD"] == str(settings.home)


def test_another_executor_sees_and_stops_what_the_first_started(settings):
    shell(settings, "trap 'echo bye; exit 143' TERM; while :; do sleep 0.05; done").submit(spec(settings))
    other = shell(settings, "never used")
    wait_for(other, "ab12/1", Seen.RUNNING)
    time.sleep(0.2)  # the shell sets its trap
    other.stop("ab12/1")
    other.stop("ab12/1")
    wait_for(other, "ab12/1", Seen.ENDED)
    assert log(settings) == "bye\n"


def test_a_training_survives_the_process_that_started_it(settings):
    script = """
import sys
from pathlib import Path
from minimind_platform.executors import LaunchSpec
from minimind_platform.local_executor import LocalExecutor
from minimind_platform.settings import Settings
settings = Settings(home=Path(sys.argv[1]))
executor = LocalExecutor(settings, lambda _: ["sh", "-c", "sleep 0.7; echo survived"])
executor.submit(LaunchSpec("ab12", 1, "sft", {}, settings.task_dir("ab12"), "cpu:0"))
"""
    subprocess.run([sys.executable, "-c", script, str(settings.home)], check=True, start_new_session=True)
    executor = LocalExecutor(settings)
    wait_for(executor, "ab12/1", Seen.RUNNING)
    wait_for(executor, "ab12/1", Seen.ENDED)
    assert log(settings) == "survived\n"


def test_an_attempt_that_was_cancelled_never_starts(settings):
    executor = shell(settings, "echo started")
    assert executor.cancel("ab12/1")
    executor.submit(spec(settings))
    assert executor.poll(["ab12/1"]) == {"ab12/1": Seen.ENDED}
    late = [sys.executable, runner.__file__, str(settings.task_dir("ab12") / "attempt-1"), "1", "/dev/null", "1", "--"]
    assert subprocess.run([*late, "true"], stderr=subprocess.DEVNULL).returncode == runner.REFUSED


def test_an_attempt_that_was_cancelled_has_not_the_result_of_the_one_before(settings):
    executor = shell(settings, "true")
    settings.task_dir("ab12").mkdir(parents=True)
    (settings.task_dir("ab12") / "result.json").write_text('{"outcome": "finished"}')
    assert executor.cancel("ab12/2")
    assert executor.ending("ab12/2").outcome is None


def test_a_running_attempt_cannot_be_cancelled(settings):
    executor = shell(settings, "sleep 60")
    executor.submit(spec(settings))
    wait_for(executor, "ab12/1", Seen.RUNNING)
    assert not executor.cancel("ab12/1")
    executor.stop("ab12/1")
    wait_for(executor, "ab12/1", Seen.ENDED)


@pytest.mark.skipif(not runner.LINUX, reason="needs PDEATHSIG")
@pytest.mark.fault("kill -9 runner")
def test_what_a_killed_runner_leaves_is_seen_and_swept(settings):
    executor = shell(settings, "trap '' TERM; setsid sleep 60 & sleep 60")
    executor.submit(spec(settings))
    wait_for(executor, "ab12/1", Seen.RUNNING)
    folder = settings.task_dir("ab12") / "attempt-1"
    while len(strays(folder)) < 3:
        time.sleep(0.02)
    os.kill(json.loads((folder / "proc.json").read_text())["runner"], signal.SIGKILL)
    wait_for(executor, "ab12/1", Seen.LEFTOVER)
    executor.sweep("ab12/1")
    wait_for(executor, "ab12/1", Seen.GONE)
    assert executor.ending("ab12/1").rc is None


@pytest.mark.fault("reboot")
def test_a_restart_of_the_machine_is_noticed(settings):
    executor = shell(settings, "true")
    folder = settings.task_dir("ab12") / "attempt-1"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    ids = {"runner": os.getpid(), "runner_ticks": 1, "pid": os.getpid(), "ticks": 1}
    (folder / "proc.json").write_text(json.dumps({"boot_id": "before", **ids}))
    assert executor.poll(["ab12/1"]) == {"ab12/1": Seen.GONE}
    assert executor.ending("ab12/1").rebooted
    executor.stop("ab12/1")  # that process is somebody else now


def test_no_zombies_are_left(settings):
    before = set(psutil.Process().children())  # those of other tests in this process
    executor = shell(settings, "true")
    executor.submit(spec(settings))
    wait_for(executor, "ab12/1", Seen.ENDED)
    give_up = time.monotonic() + 5
    while any(p.status() == psutil.STATUS_ZOMBIE for p in set(psutil.Process().children()) - before):
        executor.poll([])
        assert time.monotonic() < give_up


def test_a_folder_that_cannot_be_written_is_told(settings):
    settings.out_dir.write_text("a file")
    with pytest.raises(PlatformError, match="local disk"):
        LocalExecutor(settings).check()


# devices


def test_gpus_are_read_from_the_table_of_nvidia_smi():
    first, second = devices.parse(TABLE + "garbage\n")
    assert (first.slot, first.uuid, first.memory_mb, first.memory_used_mb) == ("cuda:0", "GPU-aaa", 23034, 3)
    assert (second.slot, second.memory_mb) == ("cuda:1", 0)


@pytest.mark.parametrize(
    ("allowed", "slots"), [(None, ["cuda:0", "cuda:1"]), ("", []), ("1", ["cuda:1"]), ("GPU-a", ["cuda:0"])]
)
def test_only_gpus_that_this_process_may_use_count(allowed, slots):
    assert [gpu.slot for gpu in devices.visible(devices.parse(TABLE), allowed)] == slots


def test_a_task_sees_its_own_gpu_only(settings, monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: tuple(devices.parse(TABLE)))
    executor = shell(settings, "echo $CUDA_VISIBLE_DEVICES $CUDA_DEVICE_ORDER")
    assert executor.slots() == {"cpu": ["cpu:0"], "cuda": ["cuda:0", "cuda:1"]}
    executor.submit(spec(settings, device="cuda:1"))
    wait_for(executor, "ab12/1", Seen.ENDED)
    assert log(settings) == "GPU-bbb PCI_BUS_ID\n"
    first, second = (gpu.uuid for gpu in devices.gpus())
    assert devices.visible_devices(devices.join_slots(["cuda:0", "cuda:1"])) == f"{first},{second}"
    assert devices.visible_devices("cpu:0") == ""


def test_a_machine_without_a_driver_has_cpu_slots(monkeypatch):
    monkeypatch.setattr(devices, "_memory", devices._Memory())
    monkeypatch.setattr(devices.shutil, "which", lambda _: None)
    assert devices.slots(2) == {"cpu": ["cpu:0", "cpu:1"]}


def test_a_driver_that_did_not_answer_is_asked_again_after_a_pause(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_memory", devices._Memory())
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    assert devices.gpus() == ()
    program.write_text(f"#!/bin/sh\ncat <<END\n{TABLE}END\n")
    assert devices.gpus() == ()
    monkeypatch.setattr(devices._memory, "again_at", 0.0)
    assert len(devices.gpus()) == 2
    program.unlink()
    assert len(devices.gpus()) == 2


CRASH = """step 3
Traceback (most recent call last):
  File "train.py", line 3, in <module>
    raise ValueError("no")
ValueError: \x1b[31mno\x1b[0m
and more about it
"""


@pytest.mark.parametrize(("text", "words"), [(CRASH, "ValueError: no"), ("step 3\nKilled\n\n \n", "Killed"), ("", "")])
def test_the_last_words_of_a_log_are_the_exception_or_the_last_line(tmp_path, text, words):
    (tmp_path / "log.txt").write_text(text)
    assert local_executor.last_words(tmp_path / "log.txt") == words
    assert local_executor.last_words(tmp_path / "none.txt") == ""
