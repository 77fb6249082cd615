"""What the watchdog has found reaches people: the webhook, its retries, and what the scheduler sees itself."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from minimind_platform.executors import Ending
from minimind_platform.notices import Notices
from minimind_platform.progress import ProgressReader
from minimind_platform.settings import Settings
from minimind_platform.settle import judge
from minimind_platform.stillness import Stillness
from minimind_platform.tasks import State, Task
from trainer.names import Outcome

TASK = Task("ab12", "first", "sft", State.RUNNING, {}, 0.0)
EVENT = {"name": "loss_spike", "text": "It rises.", "step": 4, "t": 1000}


@pytest.fixture
def receiver():
    """A server that answers with the statuses in `answers`, then 200, and keeps what it got."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append(json.loads(body))
            self.send_response(server.answers.pop(0) if server.answers else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.answers = [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def notices_of(tmp_path, receiver):
    (tmp_path / "out" / "ab12").mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    return Notices(Settings(home=tmp_path, webhook_url=url), pauses=(0.01, 0.01))


def test_a_notice_is_posted_once_also_by_the_next_scheduler(tmp_path, receiver):
    for _ in range(2):
        notices = notices_of(tmp_path, receiver)
        notices.tell(TASK, [EVENT])
        assert notices.wait(10)
    about = {"task": "ab12", "task_name": "first", "type": "sft", "state": "RUNNING"}
    assert receiver.got == [about | EVENT]
    notices.tell(TASK, [EVENT, EVENT | {"t": 2000, "name": "nan"}])
    assert notices.wait(10)
    assert [each["name"] for each in receiver.got] == ["loss_spike", "nan"]


@pytest.mark.parametrize(("answers", "tries"), [([500, 503], 3), ([500, 500, 500], 3), ([404], 1)])
def test_a_webhook_that_fails_is_tried_again_where_that_may_help(tmp_path, receiver, answers, tries):
    receiver.answers = answers
    notices = notices_of(tmp_path, receiver)
    notices.tell(TASK, [EVENT])
    assert notices.wait(10)
    assert len(receiver.got) == tries


def test_without_a_webhook_nothing_is_noted(tmp_path):
    Notices(Settings(home=tmp_path)).tell(TASK, [EVENT])
    assert list(tmp_path.iterdir()) == []


def test_events_for_people_are_found_in_the_record_once(tmp_path):
    lines = [{"kind": "event"} | EVENT | {"notify": True}, {"kind": "event"} | EVENT]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    reader = ProgressReader(tmp_path)
    reader.read()
    assert reader.notices() == [EVENT] and reader.notices() == []


@pytest.mark.fault("trainer hangs")
def test_a_training_that_makes_no_step_for_ten_minutes_is_told_once():
    now = [0.0]
    stillness = Stillness(lambda: now[0])

    def look(at, step):
        now[0] = at
        return stillness.look("ab/1", step)

    assert not look(0, 0) and not look(5000, 0)  # before the first step there is no usual pace
    assert not look(5001, 1) and not look(5011, 2)
    assert not look(5610, 2)
    assert look(5611, 2) == "nothing new for 10 minutes, at step 2"
    assert not look(9000, 2)
    assert not look(9001, 3)
    assert not look(9001 + 39_999, 3)  # usual pauses are long now
    assert look(9001 + 40_000, 3)


def test_a_stop_by_the_watchdog_is_no_loss():
    ending = Ending(Outcome.STOPPED, error="It rises.", error_class="watchdog")
    verdict = judge(State.RUNNING, ending)
    assert (verdict.to, verdict.reason) == (State.STOPPED, "stopped by the watchdog: It rises.")
    assert judge(State.STOPPING, ending).reason == "stopped after saving a checkpoint"
