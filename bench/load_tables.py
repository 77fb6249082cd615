"""A queue with many tasks, and how long everything takes that people and servers ask of it, for bench/load.py.

    fill(store, 100_000)
    for what, question in questions(store, 100_000):
        print(what, seconds(question))
    for what, times in rounds(store): ...

Every tenth task is a trial of a sweep, some are deleted or archived, a thousand wait, and each has its history.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from minimind_platform.database import transaction
from minimind_platform.dispatcher import Dispatcher
from minimind_platform.executors import LaunchSpec, Seen
from minimind_platform.listing import SORTS, ListQuery
from minimind_platform.local_executor import LocalExecutor
from minimind_platform.rows import NewTask, new_row
from minimind_platform.schema import sweep, task, task_event
from minimind_platform.settings import Settings
from minimind_platform.store import Store
from minimind_platform.sweeps.spec import read_spec
from minimind_platform.sweeps.store import NewSweep, SweepStore
from minimind_platform.sweeps.views import SweepState
from minimind_platform.task_queue import TaskQueue
from minimind_platform.tasks import State, Task
from minimind_platform.trash.store import TrashStore
from trainer.configs import parse_config

TYPES = ("pretrain", "sft", "sft", "sft", "lora", "dpo", "grpo")
ENDS = ("FINISHED",) * 8 + ("FAILED", "STOPPED")
WORDS = ("first", "long", "Größe", "中文", "baseline", "half-rate", "tiny")
WAITING = 1_000
SWEEPS = 100
AT_ONCE = 2_000
ROUNDS, CLAIMS = 9, 20
PAGE = 25
"""Tasks on a page of the list."""


def fill(store: Store, count: int, waiting: int = WAITING, running: int = 2) -> None:
    """Put so many tasks into an empty queue, as years of work leave them."""
    now = time.time()
    sweeps, spec = SweepStore(store.engine), read_spec("sft", {"data_path": "x.jsonl"}, ["learning_rate"], {})
    for number in range(SWEEPS):
        made, _ = sweeps.add(NewSweep(f"{number:032x}", "", f"sweep {number}", "1", spec))
        sweeps.move(made, SweepState.FINISHED, "all trials are done")
    configs = {kind: parse_config(kind, {"data_path": f"dataset/{kind}.jsonl"}).model_dump() for kind in set(TYPES)}
    for begin in range(0, count, AT_ONCE):
        numbers = range(begin, min(begin + AT_ONCE, count))
        rows = [_row(n, count - n - waiting, running, now - (count - n) * 60, configs) for n in numbers]
        lines = [line for row in rows for line in _history(row)]
        with transaction(store.engine, write=True) as connection:
            connection.execute(insert(task), rows)
            connection.execute(insert(task_event), lines)
    ended, c = task.c.ended_at.is_not(None), task.c
    with transaction(store.engine, write=True) as connection:
        for state in ("STARTING", "RUNNING"):
            connection.execute(update(task).where(c.started_at.is_not(None)).values(state=state))
        for state in set(ENDS):
            connection.execute(update(task).where(ended & (c.error_class == state)).values(state=state))
        connection.execute(update(task).where(c.error_class != "FAILED").values(error_class=""))
        connection.execute(update(sweep).values(mirrored_version=sweep.c.version))
    if store.engine.dialect.name == "postgresql":  # it does this by itself, but later
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _row(number: int, left: int, running: int, at: float, configs: dict[str, Any]) -> dict[str, Any]:
    """A task of this time, which waits unless `left` is above 0, runs if it is at most `running`, and has ended else.
    How it ended stands in `error_class` until all are moved there."""
    kind, trial = TYPES[number % len(TYPES)], number % 10 == 3
    name = f"{WORDS[number % len(WORDS)]} {number}"
    place = (f"{number // 10 % SWEEPS:032x}", number // 10 // SWEEPS) if trial else ("", -1)
    config = configs[kind] | {"learning_rate": 1e-4 * (1 + number % 50)}
    row = new_row(NewTask(f"{number:032x}", "", kind, name, "minimind", "1", config, number % 3, "", *place))
    row |= {"created_at": at, "queued_at": at, "mirrored_version": 0, "device": "cpu:0", "trial_state": ""}
    row |= dict.fromkeys(("started_at", "ended_at", "deleted_at", "archived_at", "loss", "reward"))
    if left > 0:
        loss = 1.5 + number * 7919 % 10_000 / 5_000
        told = {"step": 400, "total_steps": 400, "loss": loss, "trend": [3.0, 2.7, 2.5, loss]}
        row |= {"started_at": at + 1, "attempt": 1, "progress": json.dumps(told), "fraction": 1.0}
        row |= {"reward": loss} if kind == "grpo" else {"loss": loss}
        if left > running:
            row |= {"ended_at": at + 50 + number % 977, "error_class": ENDS[number * 31 % len(ENDS)]}
            row |= {"trial_state": "COMPLETE" if trial else ""}
            row |= {"deleted_at": at + 9_000} if number % 33 == 0 else {}
            row |= {"archived_at": at + 9_000} if number % 12 == 0 else {}
    return row


def _history(row: dict[str, Any]) -> list[dict[str, Any]]:
    states = (
        ["", "QUEUED"]
        + ["STARTING", "RUNNING"] * bool(row["started_at"])
        + [row["error_class"]] * bool(row["ended_at"])
    )
    line = {"task_id": row["id"], "at": row["created_at"], "attempt": 1, "reason": "its turn, on cpu:0"}
    return [line | {"before": before, "after": after} for before, after in pairwise(states)]


def questions(store: Store, count: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is asked of the queue, by name."""
    page = partial(ListQuery, limit=PAGE, trials=False)
    last = count * 7 // 10
    for sort, descending in product(SORTS, (True, False)):
        order = "falling" if descending else "rising"
        yield f"list by {sort}, {order}, first page", partial(store.page, page(sort=sort, descending=descending))
    yield "list, last page", partial(store.page, page(offset=last))
    yield "list by loss, last page", partial(store.page, page(sort="loss", offset=last))
    filters = {
        "trials too": page(trials=True),
        "of one sweep": page(sweep_id=f"{7:032x}"),
        "failed ones": page(states=["FAILED"]),
        "waiting ones": page(states=["QUEUED"]),
        "of one type": page(types=["dpo"]),
        "archived ones": page(archived=True),
        "deleted ones": page(deleted=True, archived=None),
        "found by a word that many have": page(words="baseline"),
        "found by two words that one has": page(words="baseline 4"),
        "found by a word that none has": page(words="nowhere"),
        "up to a moment": page(until=time.time() - count * 30),
    }
    for name, query in filters.items():
        yield f"list, {name}", partial(store.page, query)
    some = f"{count // 2:032x}"
    yield "a task by its id", partial(store.get, some)
    yield "a task by the begin of its id", partial(store.find, some[:30])
    yield "history of a task", partial(store.events, some)
    queue = TaskQueue(store, partial(_known, store))
    yield "place of a waiting task", partial(queue.place_of, f"{count - 1:032x}")
    yield "length of the queue", queue.length
    yield "all that wait", store.waiting
    yield "what is active", store.active
    yield "what MLflow was not told", store.unmirrored
    yield "sweeps to look after", SweepStore(store.engine).to_attend
    rows = TrashStore(store.engine)
    yield "trash, first page", partial(rows.entries, PAGE)
    yield "what is being removed", rows.count_marked
    yield "trials of a sweep", partial(store.trials, f"{7:032x}")
    yield "nothing to claim: all slots are taken", partial(store.claim, {"cpu": []}, time.time())


def _known(store: Store, task_id: str) -> Task:
    found = store.get(task_id)
    assert found is not None
    return found


class Still(LocalExecutor):
    """Attempts that run on and on, without any process."""

    def __init__(self, settings: Settings, slots: Sequence[str]) -> None:
        super().__init__(settings)
        self._slots = list(slots)

    def slots(self) -> dict[str, list[str]]:
        return {"cpu": self._slots}

    def submit(self, spec: LaunchSpec) -> None:
        pass

    def poll(self, tokens: Sequence[str]) -> dict[str, Seen]:
        return dict.fromkeys(tokens, Seen.RUNNING)


def rounds(store: Store) -> Iterator[tuple[str, list[float]]]:
    """How long claims and the dispatcher's rounds take with all those that wait."""
    slots = [f"cpu:{number}" for number in range(CLAIMS)]
    yield "claim", sorted(_took(lambda n=n: store.claim({"cpu": slots[: n + 1]}, time.time())) for n in range(CLAIMS))
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        dispatcher = Dispatcher(settings, store, Still(settings, slots))
        yield "first round of a dispatcher", [_tick(dispatcher)]
        quiet, ended = [], []
        for _ in range(CLAIMS // 2):
            running = next(task for task in store.active() if task.state is State.RUNNING)
            store.move(running, State.FINISHED, "trained to its end")
            ended.append(_tick(dispatcher))
            _tick(dispatcher)  # the next one runs
            quiet.append(_tick(dispatcher))
    yield "round of the dispatcher, nothing has happened", sorted(quiet)
    yield "round of the dispatcher, a task has ended", sorted(ended)


def _tick(dispatcher: Dispatcher) -> float:
    dispatcher._last_look = 0.0  # as after a second, when it looks at everything
    return _took(dispatcher.tick)


def seconds(question: Callable[[], Any]) -> list[float]:
    """How long each of some rounds takes, in order."""
    return sorted(_took(question) for _ in range(ROUNDS))


def _took(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
