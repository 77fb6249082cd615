"""A run outlives everything around it: real servers, real processes, real kills."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from minimind_platform import Platform, Settings, State, Task
from minimind_platform.cli import main
from minimind_platform.home import prepare
from minimind_platform.servers import Server
from minimind_platform.supervisor import Supervisor

Wait = Callable[..., Any]
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
VALUES = SIZES | {
    "data_path": "dataset/rows.jsonl",
    "max_seq_len": 32,
    "batch_size": 4,
    "accumulation_steps": 1,
    "epochs": 1000,
    "log_interval": 1,
    "eval_fraction": 0.1,
    "save_weight": "",
    "device": "cpu",
}


class House:
    """A home with its servers, each of which can be killed and started again."""

    def __init__(self, settings: Settings, wait: Wait) -> None:
        self.settings, self._wait = settings, wait
        prepare(settings)
        supervisor = Supervisor(settings)
        self.tracking, self.scheduler, self.web = supervisor._tracking(), supervisor._scheduler(), supervisor._web()
        self.platform = Platform(settings)

    def start(self, *servers: Server) -> None:
        """Have these servers run."""
        for server in servers:
            if server.process is None or server.process.poll() is not None:
                server.start()
        for server in servers:
            self._wait(server.ready, 90, f"the start of the {server.name}")

    def kill(self, server: Server) -> None:
        assert server.process is not None
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()

    def submit(self, **values: Any) -> Task:
        return self.platform.submit("pretrain", VALUES | values)

    def until_step(self, task: Task, step: int) -> None:
        self._wait(lambda: self.platform.task(task.id).progress.step >= step, 90, f"step {step}")

    def until(self, task: Task, state: State, seconds: float = 90) -> Task:
        self._wait(lambda: self.platform.task(task.id).state is state, seconds, f"{state} of the task")
        return self.platform.task(task.id)

    def synced(self, task: Task) -> Task:
        self._wait(lambda: not self.platform.task(task.id).unsynced, 60, "the upload of the rest")
        return self.platform.task(task.id)

    def trainer_pid(self, task: Task) -> int:
        attempt = self.settings.task_dir(task.id) / f"attempt-{self.platform.task(task.id).attempt}"
        return int(json.loads((attempt / "proc.json").read_text())["pid"])

    def processes(self, task: Task) -> list[psutil.Process]:
        """Every process of any attempt of the task."""
        found = []
        for process in psutil.process_iter():
            try:
                if task.id in process.environ().get("MINIMIND_ATTEMPT", ""):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def history(self, task: Task, key: str = "train/loss") -> dict[int, float]:
        """A series as MLflow has it; fails on a step that is there twice."""
        import httpx

        answer = httpx.get(
            f"{self.settings.tracking}/api/2.0/mlflow/metrics/get-history",
            params={"run_id": task.id, "metric_key": key, "max_results": 25_000},
        ).json()
        points = [(int(m.get("step", 0)), float(m["value"])) for m in answer.get("metrics", [])]
        assert len(points) == len(dict(points)), "a step was stored twice"
        return dict(points)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int], wait_until: Wait) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    (folder / "dataset").mkdir()
    rows = [f'{{"text": "Row {n}: the sum of {n} and {n} is {2 * n}."}}\n' for n in range(40)]
    (folder / "dataset" / "rows.jsonl").write_text("".join(rows))
    made = House(Settings(home=folder, port=free_port(), tracking_port=free_port()), wait_until)
    yield made
    for server in (made.scheduler, made.web, made.tracking):
        if server.process is not None and server.process.poll() is None:
            made.kill(server)
    for task in made.platform.tasks(limit=200).tasks:
        for process in made.processes(task):
            process.kill()


@pytest.fixture
def house(home: House) -> Iterator[House]:
    """A home in which nothing trains; its servers run as the test before has left them."""
    yield home
    for task in home.platform.tasks(limit=200).tasks:
        if not task.ended:
            home.platform.stop(task.id)
            home.until(task, State.STOPPED)


@pytest.mark.fault("tracking server down for a while")
def test_tracking_server_killed_and_restarted_in_mid_run(house: House) -> None:
    """No metric lost, none doubled, and the training does not wait."""
    house.start(house.tracking, house.scheduler)
    task = house.submit(max_steps=1000)
    house.until_step(task, 20)
    house.kill(house.tracking)
    step = house.platform.task(task.id).progress.step
    house.until_step(task, step + 100)
    house.start(house.tracking)
    house.until(task, State.FINISHED, 180)
    house.synced(task)
    assert list(house.history(task)) == list(range(1, 1001))


@pytest.mark.fault("tracking server down for good")
def test_tracking_server_away_at_the_end(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """The task still finishes, says how much is missing in MLflow, and that can be sent later."""
    house.start(house.tracking, house.scheduler)
    task = house.submit(max_steps=150)
    house.until_step(task, 20)
    house.kill(house.tracking)
    ended = house.until(task, State.FINISHED)
    assert ended.unsynced
    assert house.platform.sending.unsent(ended) > 100
    sync = ["sync", task.id]
    house.kill(house.scheduler)  # which would do it sooner or later
    assert main(sync, house.platform) == 1, "the server is away"
    house.start(house.tracking)
    assert main(sync, house.platform) == 0
    assert "in MLflow" in capsys.readouterr().out
    assert house.platform.sending.unsent(ended) == 0
    assert not house.platform.task(task.id).unsynced
    assert list(house.history(task)) == list(range(1, 151))
    run = house.platform.checkpoints(task.id)
    assert {"last", "best"} <= {alias for version in run for alias in version.aliases}


@pytest.mark.fault("kill -9 scheduler or web")
def test_scheduler_and_web_killed_in_mid_run(house: House) -> None:
    """The training goes on, and both find it again within five seconds."""
    import httpx

    house.start(house.tracking, house.scheduler, house.web)
    task = house.submit()
    house.until_step(task, 20)
    pid = house.trainer_pid(task)
    house.kill(house.scheduler)
    house.kill(house.web)
    before = psutil.Process(pid).cpu_times().user
    time.sleep(1)
    assert psutil.Process(pid).cpu_times().user > before
    step = house.platform.task(task.id).progress.step
    house.start(house.scheduler, house.web)
    began = time.monotonic()
    house.until_step(task, step + 1)
    assert time.monotonic() - began < 5
    found = httpx.get(f"http://127.0.0.1:{house.settings.port}/api/tasks/{task.id}").json()
    assert found["state"] == "RUNNING"
    assert house.platform.task(task.id).attempt == 1
    assert len([p for p in house.processes(task) if p.pid == pid]) == 1
    house.platform.stop(task.id)
    house.until(task, State.STOPPED)


@pytest.mark.fault("SIGTERM or stop by a person", "stop while starting or stopping, stop twice")
def test_stop_during_checkpoints_leaves_a_good_one_and_resumes(house: House) -> None:
    from trainer.checkpoints import Checkpoints, verify

    house.start(house.tracking, house.scheduler)
    task = house.submit(save_interval=1, max_steps=100_000)
    house.until_step(task, 5)
    house.platform.stop(task.id)
    house.platform.stop(task.id)  # twice is as good as once
    stopped = house.until(task, State.STOPPED, 30)
    checkpoints = Checkpoints(house.settings.task_dir(task.id), 3).all()
    assert all(verify(c.path) == "" for c in checkpoints)
    assert checkpoints[-1].step == stopped.progress.step
    assert house.processes(task) == []
    house.platform.resume(task.id)
    house.until_step(task, stopped.progress.step + 3)
    house.platform.stop(task.id)
    house.until(task, State.STOPPED, 30)
    house.synced(task)
    steps = list(house.history(task))
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.fault("bad row in the data")
def test_a_bad_row_fails_the_task_with_file_and_line(house: House) -> None:
    bad = house.settings.data_dir / "bad.jsonl"
    bad.write_text('{"text": "fine"}\n' * 5000 + '{"text": "cut\n')  # behind what a submit looks at
    house.start(house.tracking, house.scheduler)
    failed = house.until(house.submit(data_path="dataset/bad.jsonl"), State.FAILED)
    assert "bad.jsonl" in failed.error and "line 5001" in failed.error
    assert failed.error_class == "data"
    assert failed.attempt == 1, "a mistake in the data is not tried again"
