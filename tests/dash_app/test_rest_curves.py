"""REST for charts."""

import gzip
import json
from typing import Any

import pytest
from fake_platform import FakePlatform
from fastapi.testclient import TestClient

from minimind_platform.curves.buckets import Buckets
from minimind_platform.curves.marks import Mark

RUN = "cd" * 16
UPDATE_BYTES = 20_000


@pytest.fixture
def spiky(platform: FakePlatform) -> Buckets:
    """A long curve of somebody else's run."""
    curve = Buckets()
    for step in range(100_000):
        curve.add(step, 1 / 3 if step % 9_999 else 100.0 + step, 1_764_000_000 + step / 7)
    platform.curves.foreign[RUN] = {"train/loss": curve, "eval/loss": Buckets()}
    return curve


def asked(client: TestClient, path: str, **params: Any) -> dict[str, Any]:
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_overview_has_every_spike_and_less_than_a_picture_weighs(client: TestClient, spiky: Buckets) -> None:
    curve = asked(client, f"/api/runs/{RUN}/curves", keys="train/loss")["curves"]["train/loss"]
    assert curve["width"] == 128
    assert [round(high) for high in curve["high"] if high > 1] == [100 + step for step in range(0, 100_000, 9_999)]
    assert curve["mean"][1] == 0.333333
    lengths = {len(curve[name]) for name in ("steps", "last", "mean", "low", "high", "count", "times")}
    assert lengths == {len(spiky)}
    answer = client.get(f"/api/runs/{RUN}/curves", params={"keys": "train/loss"}, headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < UPDATE_BYTES
    plain = client.get(f"/api/runs/{RUN}/curves", params={"keys": "train/loss"}, headers={"accept-encoding": "none"})
    assert plain.json() == answer.json() and "content-encoding" not in plain.headers


def test_only_the_end_of_a_curve_is_sent_again(client: TestClient, spiky: Buckets) -> None:
    path, since = f"/api/runs/{RUN}/curves", "train/loss:128:99999"
    assert asked(client, path, keys="train/loss,eval/loss", since=since)["curves"] == {}
    spiky.add(100_000, 5.0, 0.0)
    news = asked(client, path, keys="train/loss,eval/loss", since=since)["curves"]
    assert news["train/loss"]["from"] == 99_968
    assert news["train/loss"]["steps"] == [99_968]
    assert news["train/loss"]["count"] == [33]


def test_raw_points_go_without_what_is_the_same_as_their_value(client: TestClient, spiky: Buckets) -> None:
    found = asked(client, f"/api/runs/{RUN}/curves", keys="train/loss", begin=0, end=200_000)["curves"]["train/loss"]
    assert found["width"] == 1
    assert set(found) == {"width", "from", "steps", "mean", "times", "nans", "sampled"}


@pytest.mark.parametrize(
    "wrong", ["train/loss", "train/loss:8", "train/loss:8:x", "train/loss:3:8", "train/loss:0:8", "::"]
)
def test_a_malformed_since_is_told(client: TestClient, spiky: Buckets, wrong: str) -> None:
    answer = client.get(f"/api/runs/{RUN}/curves", params={"keys": "train/loss", "since": wrong})
    assert answer.status_code == 400
    assert "since" in answer.json()["error"]


@pytest.mark.parametrize("keys", ["", ",", ",".join(map(str, range(101)))])
def test_keys_are_needed_and_bounded(client: TestClient, spiky: Buckets, keys: str) -> None:
    assert client.get(f"/api/runs/{RUN}/curves", params={"keys": keys}).status_code == 400


def test_the_metrics_of_a_run_that_is_no_task(client: TestClient, spiky: Buckets) -> None:
    found = asked(client, f"/api/runs/{RUN}/keys")
    assert found["keys"] == ["eval/loss", "train/loss"]
    assert found["run"]["task_id"] is None
    assert found["run"]["params"] == {"lr": "0.1"}
    assert client.get(f"/api/runs/{'0' * 32}/keys").status_code == 404


def test_marks_are_sent_once(client: TestClient, platform: FakePlatform) -> None:
    task = platform.task("a2").id
    platform.curves.happened[task] = [Mark("checkpoint", 100, 2e9, "best", "step_000100")]
    found = asked(client, f"/api/runs/{task}/marks")
    mark = {"kind": "checkpoint", "step": 100, "t": 2e9, "text": "best", "name": "step_000100", "notify": False}
    assert found["marks"][-1] == mark
    assert {mark["kind"] for mark in found["marks"][:-1]} == {"state"}
    assert asked(client, f"/api/runs/{task}/marks", since=found["count"]) == {"marks": [], "count": found["count"]}


def test_a_live_page_gets_curves_and_marks_with_one_request(client: TestClient, platform: FakePlatform) -> None:
    platform.steps_a_second = 0.0
    path, keys = "/api/tasks/a2/live", "train/loss,eval/loss,train/grad_norm"
    first = asked(client, path, keys=keys)
    assert set(first["curves"]) == {"train/loss", "eval/loss", "train/grad_norm"}
    assert first["count"] == len(first["marks"]) > 2
    since = ",".join(f"{key}:{curve['width']}:{curve['steps'][-1]}" for key, curve in first["curves"].items())
    seen = {"keys": keys, "since": since, "marks": first["count"], "offset": first["log"]["end"]}
    second = client.get(path, params=seen)
    assert second.json()["curves"] == {} and "marks" not in second.json()
    assert len(second.content) < 1_500
    platform.curves.extra[platform.task("a2").id, "train/loss"] = one = Buckets()
    one.add(10**6, float("nan"), 0.0)
    assert asked(client, path, **seen)["curves"]["train/loss"]["nans"] == [10**6]
    platform.tracking = False
    assert asked(client, path, **seen)["tracking"] is False


def test_what_is_packed_is_what_is_meant(client: TestClient, spiky: Buckets) -> None:
    url, headers = f"/api/runs/{RUN}/curves?keys=train/loss", {"accept-encoding": "gzip"}
    with client.stream("GET", url, headers=headers) as answer:
        raw = b"".join(answer.iter_raw())
    assert json.loads(gzip.decompress(raw))["tracking"] is True


def test_the_curve_of_a_page_is_read_while_the_browser_starts_it(client: TestClient, platform: FakePlatform) -> None:
    task = platform.task("a2").id
    for path in (f"/tasks/{task}", f"/runs/{RUN}", "/tasks", "/tasks/a2", f"/sweeps/{task}"):
        client.get(path)
    assert platform.curves.prepared == [task, RUN]
