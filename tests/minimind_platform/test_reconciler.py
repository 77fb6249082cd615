"""What MLflow is told of tasks: the newest state, once, and again later where it could not be told."""

import logging

import pytest

from minimind_platform.errors import NotFoundError, TrackingUnavailableError
from minimind_platform.reconciler import Reconciler
from minimind_platform.tasks import State


class FakeMirror:
    def __init__(self):
        self.told = []
        self.error: Exception | None = None

    def update(self, task):
        if self.error:
            raise self.error
        self.told.append((task.name, task.state))


def test_the_mirror_is_told_the_newest_state_once(home):
    mirror = FakeMirror()
    reconciler = Reconciler(home.store, mirror)
    task_id = home.submit("first")
    home.run(task_id, State.FINISHED)
    reconciler.round()
    reconciler.round()
    assert mirror.told == [("first", State.FINISHED)]
    assert not home.store.get(task_id).unsynced


@pytest.mark.fault("tracking server down for good")
def test_while_the_server_is_away_tasks_stay_unsynced(home, caplog):
    mirror = FakeMirror()
    reconciler = Reconciler(home.store, mirror)
    task_id = home.submit()
    home.stop(task_id, State.STOPPED)
    mirror.error = TrackingUnavailableError()
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            reconciler.round()
    assert len(caplog.records) == 1  # says so once
    assert home.store.get(task_id).unsynced
    mirror.error = None
    reconciler.round()
    assert not home.store.get(task_id).unsynced


def test_a_run_that_is_gone_is_given_up_and_an_odd_one_is_tried_less_and_less(home):
    mirror, now = FakeMirror(), [0.0]
    reconciler = Reconciler(home.store, mirror, clock=lambda: now[0])
    home.submit()
    mirror.error = NotFoundError()
    reconciler.round()
    assert home.store.unmirrored() == []
    home.submit("odd")
    tries = []
    mirror.error = ValueError("refused")
    mirror.update = lambda task: tries.append(task) or (_ for _ in ()).throw(ValueError("refused"))
    for now[0] in range(100):
        reconciler.round()
    assert 4 <= len(tries) <= 7
