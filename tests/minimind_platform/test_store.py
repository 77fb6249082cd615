from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from stored import CPU, REFUSED, add, new, raw, run_many

from minimind_platform import schema
from minimind_platform.errors import (
    ConflictError,
    NotFoundError,
    TrackingUnavailableError,
)
from minimind_platform.service import Platform
from minimind_platform.settings import Settings
from minimind_platform.store import ListQuery, Store
from minimind_platform.tasks import MOVES, Progress, State


@pytest.fixture
def url(any_url):
    return any_url


def test_a_task_comes_back_as_it_was_added(store):
    task = add(store, "ab12", name="名前", priority=3, epochs=2)
    assert store.get("ab12") == task
    assert (task.state, task.attempt, task.priority, task.name) == (State.QUEUED, 0, 3, "名前")
    assert task.config["epochs"] == 2
    assert [(e.before, e.after) for e in store.events("ab12")] == [("", "QUEUED")]
    assert store.get("nobody") is None


def test_an_id_can_be_used_once(store):
    add(store, "ab12")
    with pytest.raises(ConflictError):
        add(store, "ab12")


def test_ids_are_found_by_prefix_and_wildcards_are_letters(store):
    for task_id in ("ab1", "ab2", "b_1"):
        add(store, task_id)
    assert store.find("ab") == ["ab1", "ab2"]
    assert store.find("b_") == ["b_1"]
    assert store.find("%") == []


@pytest.mark.fault("double click on submit")
def test_twenty_parallel_adds_with_one_key_make_one_task(store):
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda _: store.add(new(key="double-click")), range(20)))
    assert sum(created for _, created in results) == 1
    assert len({task.id for task, _ in results}) == 1
    assert store.page().total == 1


def test_tasks_without_a_key_never_collide(store):
    add(store), add(store)
    assert store.page().total == 2
    assert store.by_key("") is None


def test_words_are_searched_in_name_id_type_and_data_path(store):
    add(store, "aa", name="Über 100%_sure")
    add(store, "bb", name="other", kind="dpo", data_path="dataset/Prefs.jsonl")
    found = lambda words: [task.id for task in store.page(ListQuery(words=words)).tasks]  # noqa: E731
    assert found("über 100%_s") == ["aa"]
    assert found("prefs DPO") == ["bb"]
    assert found("o%r") == []
    assert found("dataset") == ["bb", "aa"]
    assert found("dpo über") == []


def test_a_page_counts_all_states_but_lists_the_wanted_ones(store):
    for _ in range(3):
        add(store)
    store.claim(CPU, 1e12)
    page = store.page(ListQuery(states=[State.QUEUED], limit=1))
    assert (len(page.tasks), page.total, page.counts) == (1, 2, {"QUEUED": 2, "STARTING": 1})
    assert store.page(ListQuery(types=["dpo"])).total == 0


def test_deleted_tasks_are_listed_apart_and_not_claimed(store):
    hidden = store.set_deleted(store.move(add(store, "aa"), State.STOPPED, "stopped"), 5.0)
    assert hidden.deleted_at == 5.0
    assert (store.page().total, store.page(ListQuery(deleted=True)).total) == (0, 1)
    queued = store.move(hidden, State.QUEUED, "by mistake")
    assert store.claim(CPU, 1e12) is None
    store.set_deleted(queued, None)
    assert store.claim(CPU, 1e12)
    with pytest.raises(NotFoundError):
        store.set_deleted(replace(hidden, id="nobody"), 5.0)


@pytest.mark.fault("delete of a running task")
def test_only_an_ended_task_that_has_not_moved_is_deleted(store):
    queued = add(store)
    with pytest.raises(ConflictError):
        store.set_deleted(queued, 5.0)
    ended = store.move(queued, State.STOPPED, "stopped")
    resumed = store.move(ended, State.QUEUED, "resumed")
    with pytest.raises(ConflictError, match="QUEUED now"):
        store.set_deleted(ended, 5.0)
    ended = store.move(resumed, State.STOPPED, "stopped")
    store.set_mirrored(ended)
    hidden = store.set_deleted(ended, 5.0)
    assert not hidden.unsynced
    with pytest.raises(ConflictError):
        store.move(ended, State.QUEUED, "resumed too late")


@pytest.mark.fault("delete of a running task")
def test_a_resume_while_a_task_is_deleted_comes_too_late(store, url, tmp_path, monkeypatch):
    platform = Platform(Settings(home=tmp_path, database_url=url, tracking_port=1))
    seen = store.move(add(store), State.STOPPED, "stopped")
    monkeypatch.setattr(platform._tracking, "post", lambda *_, **__: store.move(seen, State.QUEUED, "resumed"))
    with pytest.raises(ConflictError):
        platform.delete(seen.id)
    assert (store.get(seen.id).state, store.get(seen.id).deleted_at) == (State.STOPPED, None)


def test_a_task_whose_run_cannot_be_deleted_stays(store, url, tmp_path):
    platform = Platform(Settings(home=tmp_path, database_url=url, tracking_port=1))
    task = store.move(add(store), State.STOPPED, "stopped")
    with pytest.raises(TrackingUnavailableError):
        platform.delete(task.id)
    assert store.page().total == 1
    assert platform.resume(task.id).state is State.QUEUED


# moves


def test_a_move_is_one_update_and_one_event(store):
    task = store.move(add(store, "aa"), State.STOPPED, "stopped by a person")
    assert task.state is State.STOPPED and task.version == 1 and task.ended_at
    assert store.events("aa")[-1].reason == "stopped by a person"


def test_a_move_that_comes_too_late_changes_nothing(store):
    seen = add(store, "aa")
    store.claim(CPU, 1e12)
    with pytest.raises(ConflictError, match="STARTING now"):
        store.move(seen, State.STOPPED, "too late")
    assert len(store.events("aa")) == 2


def test_a_move_that_does_not_exist_is_refused(store):
    with pytest.raises(ConflictError, match="cannot become"):
        store.move(add(store), State.RUNNING, "skips a state")
    with pytest.raises(TypeError, match="cannot change"):
        store.move(add(store), State.STOPPED, "", name="other")


def test_the_database_itself_refuses_every_other_edge(store, url):
    edges = {add(store).id: (before, after) for before in State for after in State}
    kind = url.partition(":")[0]
    drop = "DROP TRIGGER task_moves" + (" ON task" if kind == "postgresql" else "")
    [guard] = [statement for statement in schema.trigger_sql(MOVES, kind) if "TRIGGER task_moves" in statement]
    with raw(url) as connection:
        connection.execute(drop)
        for task_id, (before, _) in edges.items():
            connection.execute(f"UPDATE task SET state = '{before}' WHERE id = '{task_id}'")
        connection.execute(guard)
        for task_id, (before, after) in edges.items():
            move = f"UPDATE task SET state = '{after}' WHERE id = '{task_id}'"
            if after in MOVES[before]:
                connection.execute(move)
            else:
                with pytest.raises(REFUSED, match="no such move"):
                    connection.execute(move)


def test_the_history_cannot_be_rewritten(store, url):
    add(store)
    for statement in ("UPDATE task_event SET reason = ''", "DELETE FROM task_event"):
        with raw(url) as connection, pytest.raises(REFUSED, match="append-only"):
            connection.execute(statement)


def test_resuming_clears_the_error_and_the_count_of_restarts(store):
    task = store.move(add(store), State.FAILED, "bad", error="bad", hint="try", restarts=3, fruitless=1)
    assert task.error == "bad"
    task = store.move(task, State.QUEUED, "resumed by a person")
    assert (task.error, task.hint, task.ended_at) == ("", "", None)
    assert store.retries(task.id).restarts == 0


# claims and leases


def test_higher_priority_goes_first_then_first_in(store):
    for task_id, priority in (("aa", 0), ("bb", 5), ("cc", 5)):
        add(store, task_id, priority=priority)
    slots = {"cpu": ["cpu:0", "cpu:1", "cpu:2"]}
    assert [store.claim(slots, 1e12).id for _ in range(3)] == ["bb", "cc", "aa"]


@pytest.mark.fault("1000 queued tasks")
def test_ten_minutes_of_waiting_outweigh_a_point_of_priority(store, url):
    add(store, "old")
    add(store, "new", priority=1)
    with raw(url) as connection:
        connection.execute("UPDATE task SET queued_at = queued_at - 590 WHERE id = 'old'")
        assert [w.id for w in store.waiting()] == ["new", "old"]
        connection.execute("UPDATE task SET queued_at = queued_at - 20 WHERE id = 'old'")
    assert store.claim(CPU, 1e12).id == "old"


@pytest.mark.parametrize(
    ("device", "slots", "expected"),
    [
        ("auto", {"cpu": ["cpu:0"]}, "cpu:0"),
        ("auto", {"cpu": ["cpu:0"], "cuda": ["cuda:0"]}, "cuda:0"),
        ("cpu", {"cpu": ["cpu:0"], "cuda": ["cuda:0"]}, "cpu:0"),
        ("cuda", {"cuda": ["cuda:0", "cuda:1"]}, "cuda:0"),
        ("cuda:1", {"cuda": ["cuda:0", "cuda:1"]}, "cuda:1"),
        ("cuda:1", {"cuda": ["cuda:0"]}, None),
        ("cuda", {"cpu": ["cpu:0"]}, None),
    ],
)
def test_a_task_gets_a_slot_of_the_device_that_it_wants(store, device, slots, expected):
    add(store, device=device)
    task = store.claim(slots, 1e12)
    assert (task.device if task else None) == expected


def test_a_task_for_a_busy_device_does_not_hold_up_the_others(store):
    slots = {"cpu": ["cpu:0"], "cuda": ["cuda:0"]}
    for task_id, device in (("aa", "cuda"), ("bb", "cuda"), ("cc", "cpu")):
        add(store, task_id, device=device)
    assert [store.claim(slots, 1e12).id for _ in range(2)] == ["aa", "cc"]
    assert store.claim(slots, 1e12) is None
    assert store.leases() == {"cuda:0": "aa", "cpu:0": "cc"}


def test_a_task_with_several_processes_gets_all_its_gpus_at_once_or_none(store):
    slots = {"cpu": ["cpu:0"], "cuda": ["cuda:0", "cuda:1", "cuda:2"]}
    add(store, "aa", num_processes=2)
    add(store, "bb", num_processes=2, device="cuda")
    add(store, "cc", num_processes=2, device="cpu")
    first = store.claim(slots, 1e12)
    assert (first.id, first.device) == ("aa", "cuda:0,1")
    on_cpu = store.claim(slots, 1e12)
    assert (on_cpu.id, on_cpu.device) == ("cc", "cpu:0")
    assert store.claim(slots, 1e12) is None
    assert store.leases() == {"cuda:0": "aa", "cuda:1": "aa", "cpu:0": "cc"}
    store.move(first, State.FAILED, "no luck")
    assert store.leases() == {"cpu:0": "cc"}
    assert store.claim(slots, 1e12).device == "cuda:0,1"


@pytest.mark.fault("1000 queued tasks")
def test_small_tasks_do_not_starve_one_that_needs_several_gpus(store):
    slots = {"cuda": ["cuda:0", "cuda:1"]}
    add(store, "aa")
    add(store, "big", num_processes=2)
    add(store, "bb")
    one = store.claim(slots, 1e12)
    assert (one.id, one.device) == ("aa", "cuda:0")
    assert store.claim(slots, 1e12) is None  # cuda:1 is kept for the big one
    add(store, "urgent", priority=5)
    urgent = store.claim(slots, 1e12)
    assert urgent.id == "urgent"  # its turn comes first
    for task in (one, urgent):
        store.move(task, State.FAILED, "no luck")
    assert store.claim(slots, 1e12).device == "cuda:0,1"


def test_a_task_that_needs_more_gpus_than_there_are_keeps_none(store):
    slots = {"cuda": ["cuda:0", "cuda:1"]}
    add(store, "big", num_processes=3)
    add(store, "aa")
    assert store.claim(slots, 1e12).id == "aa"


def test_ending_a_task_gives_its_slot_back(store):
    add(store)
    task = store.claim(CPU, 1e12)
    assert (task.state, task.attempt, task.device) == (State.STARTING, 1, "cpu:0")
    store.move(task, State.FAILED, "no luck")
    assert store.leases() == {}


def test_a_task_is_not_claimed_before_its_time(store):
    add(store)
    task = store.claim(CPU, 100.0)
    task = store.move(task, State.QUEUED, "later", not_before=200.0)
    assert store.claim(CPU, 199.0) is None
    assert store.claim(CPU, 200.0).attempt == 2


@pytest.mark.fault("1000 queued tasks")
def test_concurrent_claims_never_take_a_task_or_a_slot_twice(store, url):
    for _ in range(120):
        add(store)
    script = """
import sys
from minimind_platform.store import ListQuery, Store
store = Store(sys.argv[1])
while task := store.claim({"cpu": [f"cpu:{n}" for n in range(120)]}, 1e12):
    print(task.id, task.device)
"""
    claims = [line.split() for line in run_many(script, url, processes=4)]
    assert len(claims) == 120
    assert len({task_id for task_id, _ in claims}) == len({slot for _, slot in claims}) == 120


# progress, waits, mirror


def test_progress_and_waits_do_not_count_as_moves(store):
    task = add(store, "aa")
    store.set_progress("aa", Progress(step=3, total_steps=6, loss=2.0))
    store.set_waits({"aa": "waits for its turn"})
    seen = store.get("aa")
    assert (seen.progress.fraction, seen.waits_for, seen.version) == (0.5, "waits for its turn", task.version)
    assert store.claim(CPU, 1e12).waits_for == ""
    assert store.retries("aa").attempt_step == 3


def test_a_task_is_unsynced_until_the_mirror_knows_its_end(store):
    task = add(store)
    store.set_mirrored(task)
    assert store.unmirrored() == []
    ended = store.move(task, State.STOPPED, "stopped")
    assert ended.unsynced and [t.id for t in store.unmirrored()] == [task.id]
    store.set_mirrored(ended)
    store.set_mirrored(task)  # an older view changes nothing
    assert not store.get(task.id).unsynced


def test_what_another_process_writes_is_noticed(store, url):
    store.changed()
    assert not store.changed()
    add(Store(url))
    assert store.changed()
    assert not store.changed()
