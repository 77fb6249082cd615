"""With many tasks nothing reads all of them: what the database says that it will do, and how much it is asked.

SQLite plans without looking at the rows, so that a few of them show what it does with 100,000.
"""

import sqlite3
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from stored import CPU, add

from minimind_platform.listing import SORTS, ListQuery
from minimind_platform.rows import NewTask
from minimind_platform.store import Store
from minimind_platform.sweeps.store import SweepStore
from minimind_platform.task_queue import TaskQueue
from minimind_platform.tasks import State
from minimind_platform.trash.store import TrashStore
from minimind_platform.waits import IN_LINE

BUSY = {"cpu": []}


@contextmanager
def asked(engine):
    """Statements that were run, and how many rows each has changed."""
    seen = []

    def after(_connection, cursor, statement, parameters, _context, _many):
        seen.append((statement, parameters, cursor.rowcount))

    event.listen(engine, "after_cursor_execute", after)
    yield seen
    event.remove(engine, "after_cursor_execute", after)


def plans(store, call):
    """How SQLite looks for tasks, for each statement that the call makes."""
    with asked(store.engine) as seen:
        call()
    with sqlite3.connect(store.engine.url.database) as connection:
        explained = [
            [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for statement, parameters, _ in seen
            if statement.startswith("SELECT")
        ]
    return [step for steps in explained for step in steps if " task USING" in step or step.endswith("SCAN task")]


@pytest.fixture
def busy(store):
    """Waiting ones and ended ones, own ones and trials."""
    for number in range(6):
        add(store, name=f"task {number}", priority=number)
    for number in range(3):
        store.add(NewTask(f"ee{number:030x}", "", "sft", "trial", "minimind", "1", {}, 0, "", "s1", number))
    store.move(store.claim(CPU, 1e12), State.RUNNING, "runs")
    return store


ROUNDS = {
    "what MLflow was not told": (lambda store: store.unmirrored(), {"task_unmirrored"}),
    "what is active": (lambda store: store.active(), {"task_state"}),
    "what waits": (lambda store: store.waiting(), {"task_waiting"}),
    "nothing to claim": (lambda store: store.claim(BUSY, 1e12), {"task_waiting"}),
    "a claim": (lambda store: store.claim({"cpu": ["cpu:1"]}, 1e12), {"task_waiting", "sqlite_autoindex_task_1"}),
    "length of the queue": (lambda store: TaskQueue(store, store.get).length(), {"task_waiting"}),
    "sweeps": (lambda store: SweepStore(store.engine).to_attend(), {"task_sweep_id", "task_trial_state"}),
    "trials": (lambda store: store.trials("s1"), {"task_sweep_id", "task_trial_state"}),
    "trash": (lambda store: TrashStore(store.engine).entries(10), {"task_listed"}),
    "what is being removed": (lambda store: TrashStore(store.engine).count_marked(), {"task_listed"}),
}


@pytest.mark.parametrize("name", ROUNDS)
def test_the_rounds_of_the_servers_find_their_tasks_by_an_index(busy, name):
    call, indexes = ROUNDS[name]
    steps = plans(busy, lambda: call(busy))
    assert steps, name
    for step in steps:
        assert step.startswith("SEARCH task USING") and set(step.split()) & indexes, step


@pytest.mark.parametrize("sort", [sort for sort in SORTS if sort != "name"])
def test_lists_are_sorted_and_counted_without_reading_tasks(busy, sort):
    for query in (ListQuery(sort=sort, trials=False), ListQuery(sort=sort, descending=False, archived=True)):
        steps = [step for step in plans(busy, lambda query=query: busy.page(query)) if "(id=?)" not in step]
        assert len(steps) >= 2
        assert all("COVERING INDEX task_listed" in step or "COVERING INDEX task_waiting" in step for step in steps)


def test_places_are_told_of_the_tasks_that_are_asked_for(busy):
    waiting = [one.id for one in busy.waiting()]
    queue = TaskQueue(busy, busy.get)
    assert [queue.place_of(task_id) for task_id in waiting] == list(range(1, 9))
    assert queue.place_of(busy.active()[0].id) == 0
    with asked(busy.engine) as seen:
        page = busy.page(ListQuery(states=["QUEUED"], sort="turn", descending=False, limit=2))
    assert page.turns == {waiting[0]: 1, waiting[1]: 2}
    assert len([statement for statement, _, _ in seen if "row_number" in statement]) == 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_start_changes_as_many_rows_whatever_the_length_of_the_queue(home, request, kind):
    if kind == "postgresql":
        postgres, migrated = request.getfixturevalue("postgres"), request.getfixturevalue("migrated")
        home.store.close()
        home.store = Store(postgres.database(like=migrated))
        home.start_scheduler()
    for number in range(40):
        home.submit(name=f"task {number}")
    home.dispatcher._explain_waits(CPU)
    assert {one.waits_for for one in home.store.waiting()} == {"", IN_LINE}
    home.store.move(home.store.claim(CPU, 1e12), State.LOST, "gone")  # there is no process of it
    with asked(home.store.engine) as seen:
        home.dispatcher._explain_waits(CPU)
    assert sum(rows for statement, _, rows in seen if statement.startswith("UPDATE")) == 1
    assert home.store.waiting()[0].waits_for == "waits for cpu:0, held by task 0"


def test_postgresql_can_use_the_same_indexes(postgres, migrated):
    store = Store(postgres.database(like=migrated))
    calls = {store.unmirrored: "task_unmirrored", store.waiting: "task_waiting"}
    for call, index in calls.items():
        with asked(store.engine) as seen:
            call()
        with store.engine.connect() as connection:
            connection.exec_driver_sql("SET enable_seqscan = off")  # else it reads a table that has so little
            plan = connection.exec_driver_sql(f"EXPLAIN {seen[0][0]}", seen[0][1]).scalars().all()
        assert any(index in step for step in plan), plan
    store.close()
