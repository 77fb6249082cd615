"""What MLflow does not have yet: counted from the spool, and sent only when nobody else will."""

import pytest

from minimind_platform.errors import ConflictError, TrackingUnavailableError
from minimind_platform.sending import Sending
from minimind_platform.tasks import State
from trainer.spool import Spool


def test_numbers_are_counted_from_what_the_server_has_acknowledged(home):
    task = home.store.get(home.submit())
    sending, folder = Sending(home.settings, home.store), home.settings.task_dir(task.id)
    assert sending.unsent(task) == 0
    folder.mkdir(parents=True)
    spool = Spool(folder)
    spool.metrics(1, {"train/loss": 9.0, "train/lr": 0.1})
    spool.write("tags", values={"a": "b"})
    assert sending.unsent(task) == 2
    spool.metrics(2, {"train/loss": 8.0})
    assert sending.unsent(task) == 3
    (folder / "spool.offset").write_text(str(spool.path.stat().st_size))
    assert sending.unsent(task) == 0
    spool.metrics(3, {"train/loss": 7.0})
    assert sending.unsent(task) == 1
    assert Sending(home.settings, home.store).unsent(task) == 1


def test_only_what_has_ended_is_sent_and_only_to_a_server_that_answers(home, free_port):
    sending = Sending(home.settings.__class__(home=home.settings.home, tracking_port=free_port()), home.store)
    task = home.store.get(home.submit())
    with pytest.raises(ConflictError, match="its trainer sends by itself"):
        sending.send(task)
    stopped = home.stop(task.id, State.STOPPED)
    with pytest.raises(TrackingUnavailableError):
        sending.send(stopped)
    assert home.store.get(task.id).unsynced
