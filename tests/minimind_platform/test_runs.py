"""Series from the memory that all screens share, with a tracking server made of a list."""

import threading
import time

import pytest

from minimind_platform.curves.served import ROWS
from minimind_platform.runs import Runs
from minimind_platform.tasks import State, Task


class FakeTracking:
    """Answers as MLflow does: sorted by step, a sample of 2,500 rows when there are more."""

    def __init__(self, points):
        self.points = points
        self.asked = []

    def get(self, call, **q):
        assert call == "metrics/get-history-bulk-interval"
        self.asked.append((q["start_step"], q["end_step"]))
        rows = [p for p in self.points if q["start_step"] <= p["step"] <= q["end_step"]]
        if len(rows) > ROWS:
            rows = [rows[len(rows) * i // ROWS] for i in range(ROWS)] + [rows[-1]]
        return {"metrics": rows}


def points(count, begin=1):
    return [{"step": n, "value": n / 10, "timestamp": n * 1000} for n in range(begin, begin + count)]


def task(state=State.RUNNING, version=3):
    return Task("r1", "r1", "pretrain", state, {}, 0.0, version=version)


@pytest.fixture(autouse=True)
def always_due(monkeypatch):
    monkeypatch.setattr("minimind_platform.runs.FRESH_SECONDS", -1.0)


@pytest.mark.parametrize("count", [0, 1, 2_499, 2_500, 2_501, 10_000])
def test_up_to_ten_thousand_points_are_exact(count):
    series = Runs(FakeTracking(points(count))).series(task(), ["train/loss"])["train/loss"]
    assert series.steps == list(range(1, count + 1))
    assert series.count == count
    assert not series.sampled


def test_more_points_are_sampled_and_said_to_be():
    series = Runs(FakeTracking(points(60_000))).series(task(), ["a"])["a"]
    assert series.sampled
    assert series.steps[-1] == 60_000
    assert series.steps == sorted(set(series.steps))


def test_only_new_steps_are_asked_for_and_given():
    tracking = FakeTracking(points(100))
    runs = Runs(tracking)
    runs.series(task(), ["a"])
    tracking.points = points(103)
    assert runs.series(task(), ["a"], {"a": 101})["a"].steps == [102, 103]
    assert tracking.asked[-1][0] == 101
    assert runs.series(task(), ["a"])["a"].count == 103


def test_what_is_no_number_is_none():
    rows = [{"step": 1, "value": "NaN", "timestamp": 1}, {"step": 2, "value": 2, "timestamp": 2}]
    assert Runs(FakeTracking(rows)).series(task(), ["a"])["a"].values == [None, 2.0]


def test_an_ended_run_is_asked_once_and_a_resumed_one_again():
    tracking = FakeTracking(points(5))
    runs = Runs(tracking)
    for _ in range(3):
        runs.series(task(State.STOPPED), ["a"])
    assert len(tracking.asked) == 1
    runs.series(task(State.RUNNING, version=5), ["a"])
    assert len(tracking.asked) == 2


def test_screens_that_ask_together_share_one_request(monkeypatch):
    monkeypatch.setattr("minimind_platform.runs.FRESH_SECONDS", 5.0)
    tracking = FakeTracking(points(5))
    slow = tracking.get
    monkeypatch.setattr(tracking, "get", lambda *a, **k: (time.sleep(0.05), slow(*a, **k))[1])
    runs = Runs(tracking)
    threads = [threading.Thread(target=runs.series, args=(task(), ["a"])) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tracking.asked) == 1


def test_the_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("minimind_platform.runs.MOST_SERIES", 3)
    runs = Runs(FakeTracking(points(2)))
    runs.series(task(), [str(n) for n in range(10)])
    assert len(runs._known) == 3
