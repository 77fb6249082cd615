"""An empty queue; and a platform with small data sets and without any server."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from checked import CLOSED_PORT, ROWS

from minimind_platform import Platform, Settings
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


@pytest.fixture
def store(url):
    store = Store(url)
    yield store
    store.close()
