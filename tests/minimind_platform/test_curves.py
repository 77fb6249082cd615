"""Curves of runs from the tracking server's database and the trainer's own record."""

import json
import random
import threading
import time
from dataclasses import replace
from typing import Any, cast

import pytest
from tracked import RUN, log_points, new_database

from minimind_platform.curves import run_curves
from minimind_platform.curves.buckets import Buckets
from minimind_platform.curves.service import CurveAnswer, Curves
from minimind_platform.errors import NotFoundError, TrackingUnavailableError
from minimind_platform.settings import Settings
from minimind_platform.tasks import State, Task, TaskEvent
from minimind_platform.tracking_client import TrackingClient

TASK = Task(RUN, "ours", "sft", State.RUNNING, {"epochs": 2}, 0.0, started_at=1.0)


class Away:
    """A tracking server that does not answer."""

    def get(self, *_args, **_params):
        raise TrackingUnavailableError


class Served:
    """Answers as MLflow does: sorted by step, a sample of 2,500 rows when there are more."""

    def __init__(self, count):
        self.count = count

    def get(self, call, **q):
        assert call == "metrics/get-history-bulk-interval"
        steps = range(max(0, q["start_step"]), min(self.count, q["end_step"] + 1))
        if len(steps) > 2_500:
            steps = [steps[len(steps) * i // 2_500] for i in range(2_500)] + [steps[-1]]
        return {"metrics": [{"step": step, "value": step / 10, "timestamp": step * 1000} for step in steps]}


@pytest.fixture(autouse=True)
def always_due(monkeypatch):
    monkeypatch.setattr(run_curves, "FRESH_SECONDS", -1.0)


@pytest.fixture
def database(tmp_path):
    return new_database(tmp_path / "mlruns" / "tracking.db")


class Home:
    """Curves over a home folder, and a trainer's record in it."""

    def __init__(self, folder, tracking: Any = None, **settings):
        self.task, self.moves = None, []
        self.settings = Settings(home=folder, **settings)
        server = tracking or cast(Any, Away())
        self.curves = Curves(self.settings, server, lambda _id: self.task, lambda _id: self.moves)
        self.folder = self.settings.task_dir(RUN)

    def record(self, *records, sent=False):
        """Write lines as a trainer does."""
        self.task = self.task or TASK
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "metrics.jsonl").open("ab", buffering=0) as file:
            for record in records:
                file.write(json.dumps(record).encode() + b"\n")
            if sent:
                (self.folder / "spool.offset").write_text(str(file.tell()))

    def points(self, *steps, sent=False, key="train/loss"):
        self.record(*({"kind": "metrics", "t": n * 1000, "step": n, "values": {key: n / 10}} for n in steps), sent=sent)

    def steps(self, key="train/loss", since=None):
        part = self.curves.read(RUN, [key], since).parts.get(key)
        return part.steps if part else []


@pytest.fixture
def home(tmp_path, database):
    return Home(tmp_path)


def count_points(home):
    part = home.curves.read(RUN, ["train/loss"]).parts["train/loss"]
    return sum(part.count)


def test_a_run_of_others_keeps_its_spikes_and_its_gaps(home, database):
    spikes = dict(zip(random.Random(7).sample(range(1, 30_000), 20), [100.0, -100.0] * 10, strict=True))
    values = {step: spikes.get(step, 2.0) for step in range(30_000)}
    log_points(database, ((step, None if step in (11, 29_999) else value) for step, value in values.items()))
    part = home.curves.read(RUN, ["train/loss"]).parts["train/loss"]
    assert part.width == 32 and len(part.steps) <= 1_024
    seen = [value for value in [*part.low, *part.high] if abs(value) == 100]
    assert len(seen) == len({(step // 32, value) for step, value in spikes.items()})
    assert part.nans == [11, 29_999]
    assert sum(part.count) == 29_998
    for step, value in spikes.items():
        closer = home.curves.zoom(RUN, ["train/loss"], step - 300, step + 300).parts["train/loss"]
        assert closer.width == 1
        assert closer.mean[closer.steps.index(step)] == value


def test_the_database_gives_the_same_as_its_points_one_by_one(home, database):
    rows = [(step * 3 - 50, random.Random(step).gauss(0, 1)) for step in range(4_000)]
    log_points(database, rows)
    log_points(database, rows[::7], at=5)  # twice for one step
    part = home.curves.read(RUN, ["train/loss"]).parts["train/loss"]
    buckets = Buckets(part.width)
    for step, value in sorted([*rows, *rows[::7]]):
        buckets.add(step, value, step + 5.0 if (step, value) in rows[::7] else step)
    expected = buckets.part()
    assert expected is not None
    assert (part.steps, part.last, part.count) == (expected.steps, expected.last, expected.count)
    assert part.times == expected.times
    for name in ("low", "high", "mean"):
        assert getattr(part, name) == pytest.approx(getattr(expected, name), rel=1e-12)


def test_new_points_of_others_come_by_step_also_late_ones_of_the_last_bucket(home, database):
    log_points(database, [(step, 1.0) for step in range(3_000)])
    before = home.curves.read(RUN, ["train/loss"]).parts["train/loss"]
    log_points(database, [(2_999, 9.0)], at=1)
    log_points(database, [(step, 2.0) for step in range(3_000, 3_010)])
    news = home.curves.read(RUN, ["train/loss"], {"train/loss": (4, 2_999)}).parts["train/loss"]
    assert news.begin == 2_996 and news.steps[0] == 2_996 and news.high[0] == 9.0
    assert len(news.steps) == 4 and before.width == news.width == 4
    assert home.steps(since={"train/loss": (4, 3_009)}) == []


def test_a_metric_is_there_as_soon_as_the_trainer_has_written_it(home, database):
    log_points(database, [(1, 0.1), (2, 0.2)])
    home.points(1, 2, sent=True)
    assert home.steps() == [1, 2]
    home.points(3)
    assert home.steps() == [1, 2, 3]
    log_points(database, [(3, 0.3)])  # it is sent, and not asked for again
    home.points(4)
    assert home.steps() == [1, 2, 3, 4]
    assert count_points(home) == 4


def test_what_was_sent_but_not_acknowledged_is_not_doubled(home, database):
    home.points(1, 2, sent=True)
    home.points(3, 4, 5)
    log_points(database, [(step, step / 10) for step in (1, 2, 3, 4)])
    assert home.steps() == [1, 2, 3, 4, 5]
    assert count_points(home) == 5
    assert home.curves.zoom(RUN, ["train/loss"], 2, 9).parts["train/loss"].steps == [2, 3, 4, 5]


def test_what_the_machine_measures_twice_in_a_step_counts_twice(home, database):
    home.points(1)
    assert home.steps() == [1]
    home.points(1, 2, 2)
    assert count_points(home) == 4


@pytest.mark.parametrize(
    "settings", [{}, {"tracking_uri": "http://elsewhere"}, {"tracking_database_url": "postgresql://x/y"}]
)
def test_without_tracking_server_or_database_the_record_is_enough(tmp_path, settings):
    home = Home(tmp_path, **settings)
    home.points(*range(1, 2_001), sent=True)
    answer = home.curves.read(RUN, ["train/loss", "none"])
    assert list(answer.parts) == ["train/loss"] and answer.parts["train/loss"].count == [1] + [2] * 999 + [1]
    facts, keys = home.curves.facts(RUN)
    assert (facts.name, facts.task_id, facts.params, keys) == ("ours", RUN, {"epochs": "2"}, ["train/loss"])
    assert home.curves.zoom(RUN, ["train/loss"], 5, 7).parts["train/loss"].steps == [5, 6, 7]
    home.task = replace(TASK, state=State.FINISHED, version=4)
    home.points(2_001)
    assert home.steps(since={"train/loss": (2, 2_000)}) == [2_000]


def test_a_run_that_nobody_can_read_says_so(tmp_path):
    home = Home(tmp_path)
    assert home.curves.read(RUN, ["train/loss"]) == CurveAnswer({}, [], False)
    with pytest.raises(TrackingUnavailableError):
        home.curves.facts(RUN)
    with pytest.raises(NotFoundError):
        home.curves.read("../x", ["train/loss"])


def test_no_point_is_lost_or_doubled_while_a_trainer_writes_and_sends(home, database):
    """The trainer records, its uploader sends a little later and acknowledges later still; screens ask all the time."""
    last, done = 600, threading.Event()
    home.points(0)

    def write():
        for step in range(1, last):
            home.points(step)
            home.points(step, key=f"late/{step // 200}")
        done.set()

    def send():
        sent, ended = 0, False
        while not ended:
            ended = done.is_set()
            lines = (home.folder / "metrics.jsonl").read_bytes().rpartition(b"\n")[0].splitlines()
            for key in ("train/loss", "late/0", "late/1", "late/2"):
                rows = [r for r in map(json.loads, lines[sent:]) if key in r["values"]]
                log_points(database, [(r["step"], r["values"][key]) for r in rows], key)
            time.sleep(0.002)
            (home.folder / "spool.offset").write_text(str(len(b"\n".join(lines)) + 1))
            sent = len(lines)

    threads = [threading.Thread(target=work) for work in (write, send)]
    for thread in threads:
        thread.start()
    keys = ["train/loss", "late/0", "late/1", "late/2"]
    while any(thread.is_alive() for thread in threads):
        home.curves.read(RUN, keys)
        home.curves.forget(RUN) if random.random() < 0.2 else None
    found = {key: home.curves.read(RUN, [key]).parts[key] for key in keys}
    for part in found.values():
        assert part.count == [1] * len(part.steps)
    assert found["train/loss"].steps == list(range(last))
    assert [step for key in keys[1:] for step in found[key].steps] == list(range(1, last))


def test_many_screens_at_the_same_time_cost_one_look(home, database, monkeypatch):
    monkeypatch.setattr(run_curves, "FRESH_SECONDS", 60.0)
    log_points(database, [(step, 1.0) for step in range(3_000)])
    history, asked = home.curves._history, []
    overview = history.overview
    monkeypatch.setattr(history, "overview", lambda *a: (asked.append(a), time.sleep(0.05), overview(*a))[2])
    monkeypatch.setattr(history, "rows", lambda *a: asked.append(a) or [])
    threads = [threading.Thread(target=home.steps) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) <= 2  # one to read all of it, one for what came since


def test_who_asks_again_anyway_does_not_wait_for_long_curves(home, database, monkeypatch):
    log_points(database, [(1, 1.0)])
    history, gate = home.curves._history, threading.Event()
    overview = history.overview
    monkeypatch.setattr(history, "overview", lambda *a: (gate.wait(10), overview(*a))[1])
    answer = home.curves.read(RUN, ["train/loss"], wait=0.01)
    assert (answer.parts, answer.pending) == ({}, ["train/loss"])
    gate.set()
    assert home.steps() == [1]


def test_a_tracking_server_elsewhere_is_asked_exactly_up_to_ten_thousand_points(tmp_path):
    home = Home(tmp_path, Served(10_000), tracking_uri="http://elsewhere")
    part = home.curves.read(RUN, ["a"]).parts["a"]
    assert sum(part.count) == 10_000 and not part.sampled
    home = Home(tmp_path, Served(60_000), tracking_uri="http://elsewhere")
    assert home.curves.read(RUN, ["a"]).parts["a"].sampled
    assert home.curves.zoom(RUN, ["a"], 500, 600).parts["a"].steps == list(range(500, 601))


def test_marks_are_checkpoints_resumes_events_and_moves(home):
    home.record(
        {"kind": "begin", "t": 1000, "attempt": 1, "step": 0},
        {"kind": "metrics", "t": 2000, "step": 1, "values": {"train/loss": 1.0}},
        {"kind": "checkpoint", "t": 3000, "step": 1, "path": "checkpoints/step_000001", "tags": {}, "best": True},
        {"kind": "tags", "t": 3000, "values": {}},
    )
    home.moves = [TaskEvent(0.5, 0, "", "QUEUED", "submitted"), TaskEvent(0.9, 1, "QUEUED", "RUNNING", "")]
    home.task = replace(TASK, version=1)
    told = [(mark.kind, mark.step, mark.t, mark.name) for mark in home.curves.marks(RUN)]
    assert told == [
        ("state", None, 0.5, "QUEUED"),
        ("state", None, 0.9, "RUNNING"),
        ("checkpoint", 1, 3.0, "step_000001"),
    ]
    with (home.folder / "metrics.jsonl").open("ab") as file:
        file.write(b'{"kind": "event", broken}\n')
    home.record({"kind": "begin", "t": 4000, "attempt": 2, "step": 1})
    home.record({"kind": "event", "t": 5000, "step": 2, "name": "nan", "text": "<b>"})
    home.moves.append(TaskEvent(4.5, 1, "RUNNING", "LOST", "gone"))
    home.task = replace(TASK, version=2)
    news = home.curves.marks(RUN, whole=False)[3:]
    assert [(m.kind, m.step, m.name, m.text) for m in news] == [
        ("resume", 1, "2", ""),
        ("state", None, "LOST", "gone"),
        ("event", 2, "nan", "<b>"),
    ]


def test_the_memory_is_bounded(home, database, monkeypatch):
    monkeypatch.setattr("minimind_platform.curves.service.MOST_CURVES", 3)
    for number in range(6):
        home.curves.read(f"{number:032x}", ["a", "b"])
    assert len(home.curves._runs) <= 3


def test_while_one_asks_whether_the_server_answers_the_others_do_not_wait(monkeypatch):
    client, asked, gate = TrackingClient("http://127.0.0.1:9"), threading.Event(), threading.Event()
    monkeypatch.setattr(client, "_healthy", lambda: True)
    assert client.alive()
    monkeypatch.setattr("minimind_platform.tracking_client.ALIVE_SECONDS", -1.0)
    monkeypatch.setattr(client, "_healthy", lambda: (asked.set(), gate.wait(10), False)[2])
    first = threading.Thread(target=client.alive)
    first.start()
    assert asked.wait(10)
    assert client.alive()  # what was true a moment ago
    gate.set()
    first.join()
    assert not client._alive[1]


def test_what_somebody_is_about_to_look_at_is_read_before(home, database):
    log_points(database, [(1, 1.0)], key="a")
    log_points(database, [(1, 1.0)])
    home.curves._prepare("0" * 32)
    home.curves._prepare(RUN)
    home.curves._pool.shutdown(wait=True)
    assert list(home.curves._run(RUN).curves.curves) == ["train/loss"]
