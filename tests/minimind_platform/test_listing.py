"""Lists of tasks: filters, sorting and paging in the database, what is put away, and how a task differs."""

import json
import math
from dataclasses import replace
from itertools import product

import pytest
from sqlalchemy import MetaData, Table, insert
from stored import CPU, add, at_revision, new, raw

from minimind_platform import Platform, Settings
from minimind_platform.database import make_engine, open_engine, transaction
from minimind_platform.errors import ConflictError, PlatformError
from minimind_platform.listing import SORTS
from minimind_platform.rows import new_row
from minimind_platform.store import ListQuery, NewTask, Store
from minimind_platform.tasks import Difference, Progress, State


def names(store, **query):
    return [task.name for task in store.page(ListQuery(**query)).tasks]


def trial(store, number, sweep_id="s1"):
    values = {"data_path": "x.jsonl"}
    place = NewTask(f"ee{number:030x}", "", "sft", f"trial {number}", "minimind", "1", values, 0, "", sweep_id, number)
    return store.add(place)[0]


def ended(store, task):
    return store.move(task, State.STOPPED, "stopped")


@pytest.fixture
def url(any_url):
    return any_url


@pytest.fixture
def mixed(store):
    """Some of each: running, queued, ended, with and without a loss."""
    for number in range(30):
        task = add(store, name=f"Task {number % 7}", kind=("sft", "dpo")[number % 2], priority=number % 3)
        if number % 4 == 0:
            store.set_progress(task.id, Progress(number, 40, loss=None if number % 8 else 3 - number / 20))
        if number % 5 == 0:
            ended(store, task)
    store.claim(CPU, 1e12)
    return store


def test_pages_have_every_task_once_while_others_are_added(mixed):
    newest = max(t.created_at for t in mixed.page(ListQuery(limit=100)).tasks)
    for sort, descending in product(SORTS, (True, False)):
        query = ListQuery(until=newest, sort=sort, descending=descending, limit=100)
        whole = [t.id for t in mixed.page(query).tasks]
        read = []
        for offset in range(0, 30, 11):
            page = mixed.page(replace(query, limit=11, offset=offset))
            assert page.total == 30
            read += [t.id for t in page.tasks]
            add(mixed, name="Task in between", priority=9)
        assert read == whole, sort
        assert len(set(read)) == 30


def test_every_order_is_by_what_it_is_named_after(mixed):
    def values(sort, value, descending=True):
        tasks = mixed.page(ListQuery(sort=sort, descending=descending, limit=100)).tasks
        known = [value(t) for t in tasks if value(t) is not None]
        assert all(value(t) is None for t in tasks[len(known) :])  # those without come last in both directions
        assert known == sorted(known, reverse=descending)
        return known

    for down in (True, False):
        assert len(values("name", lambda t: t.name.casefold(), down)) == 30
        assert len(values("type", lambda t: t.type, down)) == 30
        assert len(values("created", lambda t: t.created_at, down)) == 30
        assert len(set(values("progress", lambda t: t.progress.fraction, down))) == 8
        assert len(values("loss", lambda t: t.progress.loss, down)) == 4
        queued = values("priority", lambda t: t.priority if t.state == State.QUEUED else None, down)
        assert len(queued) == 23
        assert len(values("started", lambda t: t.started_at, down)) == 1


def test_the_turn_is_the_order_in_which_tasks_start(mixed):
    page = mixed.page(ListQuery(sort="turn", descending=False, limit=100))
    queued = [t.id for t in page.tasks if t.state == State.QUEUED]
    assert [page.turns[task_id] for task_id in queued] == list(range(1, 24))
    assert queued == [w.id for w in mixed.waiting()]


def test_an_order_that_does_not_exist_is_refused(store):
    with pytest.raises(PlatformError, match="'speed'; choose from created"):
        store.page(ListQuery(sort="speed"))


def test_of_trainings_by_rewards_the_reward_is_sorted_by_and_no_nan(store):
    for name, loss, reward in (("a", math.nan, None), ("b", 0.1, 0.7), ("c", 0.2, 0.9), ("d", 2.0, None)):
        store.set_progress(add(store, name=name).id, Progress(1, 2, loss=loss, reward=reward))
    assert names(store, sort="loss") == ["d", "c", "b", "a"]


def test_trials_of_sweeps_are_hidden_or_listed_alone(store):
    add(store, name="own")
    for number in range(3):
        trial(store, number, "s1" if number else "s2")
    assert names(store, trials=False) == ["own"]
    assert store.page(ListQuery(trials=False)).counts == {"QUEUED": 1}
    assert names(store, sweep_id="s1", trials=False) == ["trial 2", "trial 1"]
    assert len(names(store)) == 4


def test_only_ended_tasks_are_archived_and_a_resume_brings_them_back(store):
    task = add(store, name="old")
    with pytest.raises(ConflictError):
        store.set_archived(task, 5.0)
    task = store.set_archived(ended(store, task), 5.0)
    assert task.archived_at == 5.0
    assert names(store) == [] and names(store, archived=True) == ["old"] and names(store, archived=None) == ["old"]
    assert store.set_archived(task, None).archived_at is None
    again = store.move(store.set_archived(store.get(task.id), 6.0), State.QUEUED, "resumed")
    assert again.archived_at is None
    assert names(store) == ["old"]


def test_archiving_tells_mlflow_nothing_new(store):
    task = ended(store, add(store))
    store.set_mirrored(task)
    assert not store.set_archived(task, 5.0).unsynced
    assert store.unmirrored() == []


def test_the_platform_archives_and_says_why_not(store, url, tmp_path):
    platform = Platform(Settings(home=tmp_path, database_url=url, tracking_port=1))
    task = add(store, name="one")
    with pytest.raises(ConflictError, match="is queued; only an ended one"):
        platform.archive(task.id)
    ended(store, task)
    assert platform.archive(task.id).archived_at == platform.archive(task.id).archived_at
    assert platform.tasks().total == 0 and platform.tasks(archived=True).total == 1
    assert platform.unarchive(task.id).archived_at is None
    store.set_deleted(store.get(task.id), 5.0)
    with pytest.raises(ConflictError, match="deleted; restore it first"):
        platform.archive(task.id)


def test_a_task_says_how_it_differs_from_its_parent(store):
    parent = add(store, learning_rate=5e-4, epochs=2, prompt="x" * 400)
    values = parent.config | {"learning_rate": 1e-3, "prompt": "y" * 400, "packing": True}
    child = store.add(NewTask("child", "", "sft", "child", "minimind", "1", values, 0, parent.id))[0]
    assert child.differs == (
        Difference("learning_rate", 5e-4, 1e-3),
        Difference("prompt", "x" * 200 + "…", "y" * 200 + "…"),
        Difference("packing", None, True),
    )
    assert parent.differs == ()
    orphan = store.add(NewTask("orphan", "", "sft", "orphan", "minimind", "1", values, 0, "gone"))[0]
    assert orphan.differs == ()


def test_a_database_of_the_version_before_gets_the_new_columns_filled(url):
    at_revision(url, "0004")
    child = NewTask("bb", "", "sft", "child", "minimind", "1", {"learning_rate": 1e-3}, 0, "aa")
    progress = {
        "aa": {"step": 30, "total_steps": 40, "loss": 2.5},
        "cc": {"step": 4, "total_steps": 0, "loss": 0.1, "reward": 0.75},
    }
    tasks = (NewTask("aa", "", "sft", "parent", "minimind", "1", {"learning_rate": 5e-4}), child, new("cc"))
    engine = make_engine(url)
    with transaction(engine, write=True) as connection:
        table = Table("task", MetaData(), autoload_with=connection)
        for task in tasks:
            row = new_row(task) | {"progress": json.dumps(progress.get(task.id, {}))}
            connection.execute(insert(table).values({name: row[name] for name in row if name in table.columns}))
    engine.dispose()
    open_engine(url).dispose()
    with raw(url) as connection:
        rows = connection.execute("SELECT id, fraction, loss, reward, differs, archived_at FROM task ORDER BY id")
        assert rows.fetchall() == [
            ("aa", 0.75, 2.5, None, "[]", None),
            ("bb", 0.0, None, None, '[["learning_rate", 0.0005, 0.001]]', None),
            ("cc", 0.0, None, 0.75, "[]", None),
        ]
    store = Store(url)
    assert [task.id for task in store.page(ListQuery(sort="loss")).tasks] == ["aa", "cc", "bb"]
    assert store.get("bb").differs == (Difference("learning_rate", 5e-4, 1e-3),)
    store.close()


def test_changes_are_counted_only_when_somebody_writes(store, url):
    other = Store(url)
    before = store.changes()
    assert store.changes() == before
    add(other)
    assert store.changes() == before + 1 == store.changes()
    add(store)
    assert store.changes() == before + 2
    other.close()
