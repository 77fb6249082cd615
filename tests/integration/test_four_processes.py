"""The four processes of docker-compose.yml by hand, with its settings and commands, at a real PostgreSQL server."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from minimind_platform import State
from minimind_platform.servers import answers

ROOT = Path(__file__).resolve().parents[2]


class Containers:
    """What the containers have, on this machine: other places and ports, the rest as it is."""

    def __init__(self, folder: Path, postgres: Any, tracking: int, web: int) -> None:
        self.home = folder / "data"
        self.home.mkdir()
        (folder / "password").write_text("not asked for by this server\n")
        self.compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
        self.ports = {"tracking": tracking, "web": web}
        self._places = {
            "/data": str(self.home),
            "/run/secrets/postgres_password": str(folder / "password"),
            "http://mlflow:5000": f"http://127.0.0.1:{tracking}",
        }
        self._socket = postgres.folder
        self._log = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def environment(self, service: str) -> dict[str, str]:
        values = dict(self.compose["services"][service]["environment"])
        for key, value in values.items():
            text = re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)
            text = re.sub(r"@postgres/(\w+)", rf"@/\1?host={self._socket}", text)
            for inside, here in self._places.items():
                text = here + text.removeprefix(inside) if text.startswith(inside) else text
            values[key] = text
        if hosts := values.get("MINIMIND_ALLOWED_HOSTS"):
            port = self.ports["tracking"]
            values["MINIMIND_ALLOWED_HOSTS"] = f"{hosts},127.0.0.1:{port},localhost:{port}"
        own = {key: value for key, value in os.environ.items() if not key.startswith("MINIMIND_")}
        ports = {"MINIMIND_PORT": str(self.ports["web"]), "MINIMIND_TRACKING_PORT": str(self.ports["tracking"])}
        return own | values | ports

    def start(self, service: str) -> None:
        _, *words = self.compose["services"][service]["command"]
        with (self._log / f"{service}.log").open("wb") as log:
            self.started.append(
                subprocess.Popen(
                    [sys.executable, *words], env=self.environment(service), cwd=self.home, stdout=log, stderr=log
                )
            )

    def minimind(self, *words: str, service: str = "web", **change: str) -> str:
        command = [sys.executable, "-m", "minimind_platform.cli", *words]
        environment = self.environment(service) | change
        done = subprocess.run(command, env=environment, cwd=self.home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def healthy(self, service: str) -> bool:
        python, code = self.compose["services"][service]["healthcheck"]["test"][1::2]
        assert python == "python"
        code = code.replace(":5000", f":{self.ports['tracking']}").replace(":8050", f":{self.ports['web']}")
        return subprocess.run([sys.executable, "-c", code], env=self.environment(service), check=False).returncode == 0


@pytest.fixture
def containers(tmp_path: Path, postgres: Any, free_port: Any) -> Iterator[Containers]:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE minimind LOGIN CREATEDB")
    with psycopg.connect(postgres.url("postgres"), user="minimind", autocommit=True) as connection:
        for name in ("minimind", "studies", "tracking"):
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    made = Containers(tmp_path, postgres, free_port(), free_port())
    yield made
    for process in reversed(made.started):
        process.terminate()
    for process in made.started:
        process.wait(20)


def status(url: str, host: str) -> int:
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host}), timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_task_runs_to_its_end(containers: Containers, wait_until: Any) -> None:
    tracking, web = (f"http://127.0.0.1:{containers.ports[name]}" for name in ("tracking", "web"))
    (containers.home / "dataset").mkdir()
    (containers.home / "dataset" / "p.jsonl").write_text('{"text": "今天天气很好, a nice day."}\n' * 40)
    containers.start("mlflow")
    wait_until(lambda: answers(f"{tracking}/mlflow/health"), 90, "the start of the tracking server")
    containers.start("scheduler")
    containers.start("web")
    wait_until(lambda: answers(f"{web}/healthz"), 60, "the start of the web app")
    experiments = f"{tracking}/mlflow/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert status(experiments, "mlflow:5000") == 200 and status(experiments, "evil.example") == 403
    assert status(f"{web}/healthz", "localhost:8050") == 200 and status(f"{web}/healthz", "evil.example") == 421

    words = "--data_path dataset/p.jsonl --hidden_size 64 --num_hidden_layers 1 --batch_size 8 --epochs 1 --max_steps 3"
    task = json.loads(containers.minimind("submit", "pretrain", *words.split(), "--device", "cpu", "--json"))
    shown = lambda: json.loads(urllib.request.urlopen(f"{web}/api/tasks/{task['id']}", timeout=20).read())  # noqa: E731
    wait_until(lambda: shown()["state"] in (State.FINISHED, State.FAILED), 120, "the end of the task")
    assert shown()["state"] == State.FINISHED, shown()
    assert all(containers.healthy(service) for service in ("mlflow", "scheduler", "web"))

    run = f"{web}/mlflow/api/2.0/mlflow/runs/get?run_id={task['id']}"
    done = lambda: json.loads(urllib.request.urlopen(run, timeout=20).read())["run"]  # noqa: E731
    wait_until(lambda: done()["info"]["status"] == "FINISHED", 60, "MLflow's own status")
    assert "train/loss" in {metric["key"] for metric in done()["data"]["metrics"]}
    assert task["id"] in containers.minimind("models", "--json")
    assert "databases: queue, studies, tracking" in containers.minimind("backup", str(containers.home / "all.tar"))
    assert not list(containers.home.rglob("*.db"))  # all of it is on PostgreSQL
