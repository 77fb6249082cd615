"""An empty queue; a platform with small data sets and without any server; a scheduler with a fake trainer; studies."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from checked import CLOSED_PORT, ROWS
from scheduled import Home

from minimind_platform import Platform, Settings
from minimind_platform.local_executor import strays
from minimind_platform.store import Store


@pytest.fixture
def platform(tmp_path):
    data = tmp_path / "dataset"
    data.mkdir()
    (data / "p.jsonl").write_text('{"text": "今天天气很好, a nice day."}\n' * ROWS)
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    (data / "s.jsonl").write_text((json.dumps({"conversations": turns}) + "\n") * ROWS)
    (data / "empty.jsonl").write_text("")
    (data / "broken.jsonl").write_text('{"text": "x"}\n{"text": \n')
    return Platform(Settings(home=tmp_path, tracking_port=CLOSED_PORT))


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'mlruns' / 'app.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request):
    """A database of the queue of either kind; the tests of a file take it by a fixture `url` of their own."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('tmp_path') / 'mlruns' / 'app.db'}"
    return request.getfixturevalue("postgres").database(like=request.getfixturevalue("migrated"))


@pytest.fixture
def store(url):
    store = Store(url)
    yield store
    store.close()


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    yield home
    for task in home.store.active():  # whatever a failed test has left
        for process in strays(home.settings.task_dir(task.id) / f"attempt-{task.attempt}"):
            process.kill()
    home.store.close()


@pytest.fixture(scope="module")
def studies_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('sweeps')}/optuna.db"


@pytest.fixture(scope="module")
def studies(studies_url: str) -> Any:
    from minimind_platform.sweeps.study import Studies  # half a second, for few tests

    return Studies(studies_url)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return request.node.name
