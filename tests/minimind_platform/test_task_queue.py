"""Priorities and places in the queue: what people change, and what starts then."""

import pytest
from stored import CPU, add

from minimind_platform.errors import ConflictError, SettingsError
from minimind_platform.task_queue import TaskQueue
from minimind_platform.tasks import State


@pytest.fixture
def url(any_url):
    return any_url


@pytest.fixture
def queue(store):
    return TaskQueue(store, store.get)


@pytest.fixture
def four(store):
    for name in "abcd":
        add(store, name * 4, name=name)
    return store


def order(store):
    return "".join(waiting.name for waiting in store.waiting())


@pytest.mark.parametrize(
    ("name", "place", "expected"),
    [
        ("a", "first", "abcd"), ("c", "first", "cabd"), ("c", "up", "acbd"), ("a", "up", "abcd"),
        ("b", "down", "acbd"), ("d", "down", "abcd"), ("a", "last", "bcda"), ("d", "last", "abcd"),
        ("a", "down", "bacd"),
    ],
)  # fmt: skip
def test_a_task_moves_to_a_place(four, queue, name, place, expected):
    task = queue.place(name * 4, place)
    assert order(four) == expected
    assert queue.place_of(task.id) == expected.index(name) + 1
    assert task.priority == 0


def test_every_place_is_reached_by_dragging(four, queue):
    queue.put_before("dddd", "bbbb")
    assert order(four) == "adbc"
    queue.put_before("aaaa", "cccc")
    assert order(four) == "dbac"
    queue.put_before("cccc", "dddd")
    assert order(four) == "cdba"


def test_tasks_that_were_queued_at_the_same_moment_can_be_told_apart(four, queue, url):
    from stored import raw

    with raw(url) as connection:
        connection.execute("UPDATE task SET queued_at = 1000, created_at = 1000")
    for _ in range(60):  # halving alone would run out of digits
        queue.put_before("dddd", "bbbb")
        queue.put_before("cccc", "dddd")
        assert order(four) == "acdb"
        queue.put_before("dddd", "cccc")
        assert order(four) == "adcb"


def test_a_priority_moves_a_task_ahead_and_is_no_move_between_states(four, queue):
    task = four.get("cccc")
    four.set_mirrored(task)
    changed = queue.set_priority("cccc", 5)
    assert (changed.priority, changed.state, changed.version) == (5, State.QUEUED, task.version + 1)
    assert order(four) == "cabd"
    assert [e.reason for e in four.events("cccc")] == ["submitted", "priority 0 to 5, by a person"]
    assert changed.id not in [t.id for t in four.unmirrored()]
    assert queue.set_priority("cccc", 5) == changed
    queue.set_priority("cccc", -1)
    assert order(four) == "abdc"
    assert four.claim(CPU, 1e12).id == "aaaa"


def test_a_place_beside_tasks_with_a_priority_is_kept(four, queue):
    queue.set_priority("dddd", 3)
    queue.place("bbbb", "first")
    assert order(four) == "bdac"
    assert [(e.before, e.after) for e in four.events("bbbb")][-1] == ("QUEUED", "QUEUED")


def test_what_does_not_wait_has_no_place(four, queue):
    started = four.claim(CPU, 1e12)
    for change in (lambda: queue.place("aaaa", "last"), lambda: queue.set_priority("aaaa", 2)):
        with pytest.raises(ConflictError):
            change()
    with pytest.raises(ConflictError, match="is starting; only a queued one"):
        queue.put_before("bbbb", started.id)
    assert queue.place_of("aaaa") == 0
    assert order(four) == "bcd"


def test_a_priority_out_of_range_is_refused(four, queue):
    with pytest.raises(SettingsError, match="-1000 to 1000, got 1001"):
        queue.set_priority("aaaa", 1001)
