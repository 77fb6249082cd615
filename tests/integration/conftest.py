"""Real servers for the tests: one tracking server for all of them, and helpers that wait without sleeping long."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minimind_platform import Platform, Settings
from minimind_platform.home import prepare
from minimind_platform.servers import answers
from minimind_platform.supervisor import Supervisor


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    """Asks again and again until the answer is true, and gives it back."""

    def wait(ask: Callable[[], Any], seconds: float = 30.0, what: str = "it") -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if answer := ask():
                return answer
            time.sleep(0.05)
        raise AssertionError(f"{what} did not happen within {seconds} s")

    return wait


@pytest.fixture(scope="session")
def tracking(tmp_path_factory, free_port, wait_until) -> Iterator[Settings]:
    """A tracking server, started as `minimind up` starts it; the settings of its home."""
    settings = Settings(home=tmp_path_factory.mktemp("tracking"), tracking_port=free_port())
    prepare(settings)
    server = Supervisor(settings)._tracking()
    server.start()
    try:
        wait_until(server.ready, 60, f"the start of the tracking server, see {server.log},")
        yield settings
    finally:
        server.ask_to_stop()
        server.wait(time.monotonic() + 5)


@pytest.fixture
def platform(tracking, tmp_path) -> Platform:
    """A platform in an empty home, at the common tracking server."""
    data = tmp_path / "dataset"
    data.mkdir()
    (data / "p.jsonl").write_text('{"text": "今天天气很好, a nice day."}\n' * 100, encoding="utf-8")
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "artifacts").symlink_to(tracking.artifacts_dir)
    return Platform(Settings(home=tmp_path, tracking_port=tracking.tracking_port))


@pytest.fixture
def mlflow(tracking) -> Callable[..., dict[str, Any]]:
    """Calls MLflow's REST interface directly: `mlflow("runs/get", run_id=...)`; a body makes it a POST."""

    def call(path: str, body: dict[str, Any] | None = None, /, **query: Any) -> dict[str, Any]:
        parts = "&".join(f"{key}={value}" for key, value in query.items())
        url = f"{tracking.tracking}/api/2.0/mlflow/{path}?{parts}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    return call


@pytest.fixture
def up(tmp_path, free_port) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `minimind up` in a home folder; whatever is left of it is killed at the end."""
    started: list[subprocess.Popen[str]] = []
    ports = {"port": free_port(), "tracking_port": free_port()}

    def start(*options: str, **change: int) -> subprocess.Popen[str]:
        values = ports | change
        flags = [
            "--home",
            str(tmp_path),
            "--port",
            str(values["port"]),
            "--tracking-port",
            str(values["tracking_port"]),
        ]
        command = [sys.executable, "-m", "minimind_platform.cli", "up", *flags, *options]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MINIMIND_")}
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    start.ports = ports  # type: ignore[attr-defined]
    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def healthy() -> Callable[[str], bool]:
    """Whether an address answers with 200."""
    return answers
