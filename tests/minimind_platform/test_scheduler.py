"""The scheduler as a process of its own: tasks outlive it, and there is only one."""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest
from scheduled import FAKE

from minimind_platform.errors import PlatformError
from minimind_platform.scheduler import only_one
from minimind_platform.tasks import State

PROCESS = """
import logging, sys
from pathlib import Path
from minimind_platform.local_executor import LocalExecutor
from minimind_platform.scheduler import only_one, run_forever
from minimind_platform.settings import Settings
class NoMirror:
    def update(self, task): pass
settings = Settings(home=Path(sys.argv[1]))
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
with only_one(settings.mlruns_dir):
    run_forever(settings, LocalExecutor(settings, lambda _: [sys.executable, sys.argv[2]]), NoMirror(), 0.05)
"""


@pytest.fixture
def process(home):
    """Starts schedulers as processes of their own."""
    started = []

    def start():
        command = [sys.executable, "-c", PROCESS, str(home.settings.home), str(FAKE)]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        started.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        )
        assert "ready" in started[-1].stdout.readline() or started[-1].wait(10)
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


@pytest.mark.fault("kill -9 scheduler or web")
def test_a_task_outlives_its_scheduler_and_is_found_again(home, process):
    first = process()
    task_id = home.submit(steps=2000, step_seconds=0.05)  # it is stopped long before it ends
    home.run(task_id, State.RUNNING, tick=False)
    home.wait_for_step(task_id)
    pid = home.pid(task_id)
    first.kill()
    first.wait()
    second = process()
    assert home.run(task_id, State.RUNNING, tick=False).attempt == 1
    home.stop(task_id)
    home.run(task_id, State.STOPPED, tick=False, seconds=5)
    assert not psutil.pid_exists(pid)
    assert home.log(task_id).count("begins") == 1
    second.terminate()
    assert second.wait(5) == 0


@pytest.mark.fault("kill -9 scheduler or web")
def test_a_task_that_ends_without_a_scheduler_is_settled_by_the_next(home, process):
    first = process()
    task_id = home.submit(steps=10, step_seconds=0.2)  # long enough to be seen while it runs
    home.run(task_id, State.RUNNING, tick=False)
    first.terminate()
    assert first.wait(5) == 0
    while not (home.settings.task_dir(task_id) / "attempt-1" / "exit.json").exists():
        time.sleep(0.05)
    assert home.store.get(task_id).state is State.RUNNING
    process()
    home.run(task_id, State.FINISHED, tick=False)


@pytest.mark.fault("two servers started at once")
def test_a_second_scheduler_refuses_and_names_the_first(home, process):
    first = process()
    with pytest.raises(PlatformError, match=f"process {first.pid}"), only_one(home.settings.mlruns_dir):
        pass
    beat = json.loads((home.settings.mlruns_dir / "scheduler.json").read_text())
    assert beat["pid"] == first.pid and abs(beat["t"] - time.time()) < 10
