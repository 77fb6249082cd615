"""`python -m trainer … --num_processes 2`, by hand: started, stopped, killed, refused."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from trainer.checkpoints import Checkpoints
from trainer.cli import main
from trainer.configs import TrainConfig
from trainer.devices import pick_device
from trainer.errors import SettingsError
from trainer.failures import explain
from trainer.names import Env, ErrorClass, ExitCode, Metric
from trainer.problems import cores
from trainer.ranks import Ranks
from trainer.spool import read_records

SETTINGS = {
    "data_path": "sft.jsonl",
    "from_weight": "none",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_seq_len": 64,
    "batch_size": 4,
    "accumulation_steps": 2,
    "learning_rate": 1e-2,
    "epochs": 30,
    "save_interval": 1000,
    "eval_interval": 5,
    "device": "cpu",
}
START_SECONDS = 120

needs_two_cores = pytest.mark.skipif(cores() < 2, reason="needs two processor cores")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MINIMIND_TASK_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MINIMIND_HOME", str(tmp_path))
    rows = []
    for number in range(40):
        words = ["What", "is", f"{number}?"] * (1 + number % 4)
        chat = [{"role": "user", "content": " ".join(words)}, {"role": "assistant", "content": f"It is {number}."}]
        rows.append(json.dumps({"conversations": chat}) + "\n")
    (tmp_path / "sft.jsonl").write_text("".join(rows), encoding="utf-8")
    return tmp_path


def options(**values: Any) -> list[str]:
    return ["sft", *(part for k, v in (SETTINGS | values).items() for part in (f"--{k}", str(v)))]


def start(home: Path, **values: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "trainer", *options(num_processes=2, **values)]
    environment = os.environ | {"MINIMIND_HOME": str(home)}
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(
        command, env=environment, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def task_dir(home: Path, out: str) -> Path:
    [path] = [p.parent for p in (home / out).glob("*/config.json")]
    return path


def losses(folder: Path) -> list[tuple[int, float]]:
    metrics = (record for record, _ in read_records(folder / "metrics.jsonl") if record["kind"] == "metrics")
    return [(r["step"], r["values"][Metric.LOSS]) for r in metrics if Metric.LOSS in r["values"]]


def wait_for_steps(process: subprocess.Popen[str], home: Path, out: str, steps: int) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        folders = [p.parent for p in (home / out).glob("*/metrics.jsonl")]
        if folders and len(losses(folders[0])) >= steps:
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("no steps")


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


@needs_two_cores
@pytest.mark.fault("kill -9 launcher or one rank", "SIGTERM or stop by a person")
def test_two_trainings_at_once_one_stopped_and_one_killed(home: Path) -> None:
    stopped, killed = start(home, save_dir="stopped"), start(home, save_dir="killed", seed=1)
    for process, out in ((stopped, "stopped"), (killed, "killed")):
        wait_for_steps(process, home, out, 8)
    ranks = {p.environ()[Env.RANK]: p for p in psutil.Process(killed.pid).children()}
    ranks["1"].send_signal(signal.SIGKILL)
    began = time.monotonic()
    stopped.send_signal(signal.SIGTERM)
    stopped.send_signal(signal.SIGTERM)
    log = killed.communicate(timeout=60)[0]
    assert time.monotonic() - began < 30
    assert killed.returncode == ExitCode.FAILED
    assert not any(p.is_running() for p in ranks.values())
    ended = result(task_dir(home, "killed"))
    assert (ended["outcome"], ended["error_class"]) == ("failed", ErrorClass.KILLED)
    assert ended["error"] == "Rank 1 of 2 was killed (SIGKILL), perhaps for lack of memory."
    assert ended["total_steps"] == 150 and ended["step"] >= 8
    assert log.count(ended["error"]) == 1 and "Traceback" not in log

    log = stopped.communicate(timeout=60)[0]
    assert stopped.returncode == ExitCode.STOPPED, log
    folder = task_dir(home, "stopped")
    ended = result(folder)
    assert ended["outcome"] == "stopped"
    assert log.count("Stop requested") == 1 and log.count("Stopped at step") == 1
    assert [p.name for p in (folder / "checkpoints").iterdir()] == [f"step_{ended['step']:06d}"]

    # it goes on with one process, and the losses are those of one that was never disturbed
    assert main(options(save_dir="stopped", from_resume=1)) == ExitCode.FINISHED
    assert main(options(save_dir="whole")) == ExitCode.FINISHED
    whole, parts = losses(task_dir(home, "whole")), losses(folder)
    assert [step for step, _ in parts] == [step for step, _ in whole] == list(range(1, 151))
    assert [loss for _, loss in parts] == pytest.approx([loss for _, loss in whole], rel=1e-3)


@needs_two_cores
@pytest.mark.fault("kill -9 launcher or one rank")
def test_when_the_launcher_is_killed_its_ranks_end_and_the_next_goes_on(home: Path) -> None:
    process = start(home, save_interval=25)
    wait_for_steps(process, home, "out", 27)
    ranks = psutil.Process(process.pid).children()
    assert len(ranks) == 2
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(ranks, timeout=60)
    assert not alive
    folder = task_dir(home, "out")
    assert Checkpoints(folder, 3).newest_good()
    assert main(options(save_interval=25, from_resume=1)) == ExitCode.FINISHED
    assert [step for step, _ in losses(folder)] == list(range(1, 151))


@pytest.mark.fault("missing or changed data")
def test_data_that_went_away_before_the_start_is_named(home: Path) -> None:
    (home / "sft.jsonl").unlink()
    assert main(options()) == ExitCode.BAD_INPUT
    ended = result(task_dir(home, "out"))
    assert ended["error_class"] == ErrorClass.DATA and str(home / "sft.jsonl") in ended["error"]


@needs_two_cores
@pytest.mark.fault("bad row in the data")
def test_what_is_wrong_with_the_data_is_told_once(home: Path) -> None:
    with (home / "sft.jsonl").open("a") as file:
        file.write("no JSON\n")
    process = start(home)
    log = process.communicate(timeout=START_SECONDS)[0]
    assert process.returncode == ExitCode.BAD_INPUT, log
    ended = result(task_dir(home, "out"))
    assert ended["error_class"] == ErrorClass.DATA and "sft.jsonl line 41" in ended["error"]
    assert log.count("sft.jsonl line 41") == 1 and "Traceback" not in log


@needs_two_cores
@pytest.mark.fault("CUDA out of memory")
def test_a_process_that_runs_out_of_memory_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "sitecustomize.py").write_text(
        "import os\n"
        "if os.environ.get('MINIMIND_RANK') == '1':\n"
        "    import torch, trainer.loop\n"
        "    trainer.loop.Loop._update = lambda *work: torch.empty(10**15)\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(home), os.environ.get("PYTHONPATH", "")]))
    process = start(home)
    log = process.communicate(timeout=START_SECONDS)[0]
    assert process.returncode == ExitCode.FAILED, log
    ended = result(task_dir(home, "out"))
    assert ended["error_class"] == ErrorClass.OUT_OF_MEMORY
    assert ended["error"].startswith("Rank 1 of 2: Out of memory: the training used up to ")
    assert ended["hint"].startswith("Lower batch_size from 4 to 2 and raise accumulation_steps from 2 to 4")
    assert log.count("Traceback") == 1 and "DefaultCPUAllocator" in log


def test_more_processes_than_cores_are_refused(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    too_many = cores() + 1
    assert main(options(num_processes=too_many, batch_size=too_many)) == ExitCode.BAD_INPUT
    assert f"--num_processes: {too_many} is more than the {cores()} cores" in caplog.text


def test_torchrun_is_not_needed(home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(options()) == ExitCode.BAD_INPUT
    assert "Set num_processes" in caplog.text


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [pick_device("auto", Ranks(rank, 2)).index for rank in range(2)] == [0, 1]
    with pytest.raises(SettingsError, match=r"3 processes need 3 GPUs, and PyTorch can use 2\. Set num_processes to 2"):
        pick_device("cuda", Ranks(0, 3))
    assert pick_device("cpu", Ranks(0, 3)).type == "cpu"


@pytest.mark.fault("CUDA out of memory")
def test_what_to_lower_when_memory_is_short(make_config: Callable[..., TrainConfig]) -> None:
    for values, hint in (
        ({"batch_size": 32}, "Lower batch_size from 32 to 16 and raise accumulation_steps from 1 to 2"),
        ({"batch_size": 3, "num_processes": 2}, "Set gradient_checkpointing to true, or lower max_seq_len (340)."),
        ({"batch_size": 1, "gradient_checkpointing": True}, "Lower max_seq_len (340), or take a smaller model."),
    ):
        message, found, error_class = explain(MemoryError(), make_config(**values))
        assert message.startswith("Out of memory: the training used up to ")
        assert found.startswith(hint)
        assert error_class is ErrorClass.OUT_OF_MEMORY
