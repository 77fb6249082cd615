"""How fast a thousand queued tasks are worked off, and how fast lists stay with a hundred thousand in the database.

    python bench/load.py [--tasks 1000] [--stored 100000] [--slots 2] [--real 20] [--database postgresql]
    python bench/load.py --only store,drain,real

`store` asks the database what pages and servers ask of it. `drain` queues tasks of one step whose trainer is a shell
that does nothing, beside the stored ones, and works them off while pages are read; `real` does the same with the real
trainer and fewer tasks. Everything else is real: servers, runners, tracking server, and a database in /tmp. Of several
times the median and 95 of 100 are shown.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from load_drain import Drain
from load_tables import fill, questions, rounds, seconds
from playwright.sync_api import sync_playwright
from web import ROWS, Results, again, profile
from web_site import beside, home, machine

from minimind_platform.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgres import Cluster

LOOKERS, LOOK_SECONDS, VISITS, URGENT = 5, 40, 20, 30
LISTS = {
    "/api/tasks, newest first": "/api/tasks?limit=25&trials=false",
    "/api/tasks by loss": "/api/tasks?limit=25&trials=false&sort=loss&descending=false",
    "/api/tasks, the queue": "/api/tasks?limit=25&sort=turn&descending=false&state=QUEUED",
    "the tasks page without its list": "/tasks",
}


@contextmanager
def database(kind: str) -> Iterator[Callable[[], str]]:
    """Gives new databases: the URL of each, "" for the usual one of a home."""
    if kind == "sqlite":
        yield lambda: ""
        return
    cluster = Cluster.start()
    try:
        yield cluster.database
    finally:
        cluster.stop()


def ask_store(results: Results, url: str, count: int) -> None:
    """What is asked of a database with so many tasks, one after another, by one process."""
    with tempfile.TemporaryDirectory() if not url else nullcontext("") as folder:
        store = Store(url or f"sqlite:///{folder}/app.db")
        began = time.perf_counter()
        fill(store, count)
        print(f"{count:,} tasks made in {time.perf_counter() - began:.0f} s", flush=True)
        for what, question in questions(store, count):
            results.add(what, _milliseconds(seconds(question)))
        for what, times in rounds(store):
            results.add(what, _milliseconds(times), "50 ms" if "claim" in what else "")
        store.close()


def work_off(results: Results, url: str, tasks: int, stored: int, slots: int, noop: bool) -> None:
    """A queue that is filled, then worked off while people look."""
    trainer = "a trainer that does nothing" if noop else "the real trainer"
    name = f"{tasks:,} with {trainer}"
    with home(cpu_slots=slots, database_url=url) as (settings, web):
        store = Store(settings.database)
        fill(store, stored, waiting=0, running=0)
        drain = Drain(settings, web, store, tasks, noop)
        began = time.perf_counter()
        submits = drain.submit()
        took = time.perf_counter() - began
        results.add(f"{name}: submit over REST, 4 at once", f"{_milliseconds(submits)}, {tasks / took:.0f} a second")
        with drain.scheduler():
            if noop:
                intruder = threading.Thread(target=drain.intrude, args=(URGENT,))
                intruder.start()
                look(results, drain)
                intruder.join()
            drain.wait()
            ended = time.perf_counter()
            drain.wait_for_mlflow()
            results.add("until MLflow knows all of it, after the last end", f"{time.perf_counter() - ended:.0f} s")
        tell(results, drain, slots)
        store.close()


def look(results: Results, drain: Drain) -> None:
    """Pages while the queue is worked off; each client asks once a second."""
    live = {"/live of a waiting task": f"/api/tasks/{drain.ids[-1]}/live?keys=train/loss&offset=-1"}
    clients = {
        name: beside("bench/web_clients.py", "poll", drain.url + path, str(LOOKERS), str(LOOK_SECONDS))
        for name, path in (LISTS | live).items()
    }
    for name, client in clients.items():
        told = json.loads(client.communicate()[0])
        value = f"{told['p50'] * 1000:.0f} ms, {told['p95'] * 1000:.0f} ms"
        results.add(f"meanwhile, {LOOKERS} clients: {name}", value, "95 of 100: 1 s")
    with sync_playwright() as playwright, profile(playwright) as page:
        times = sorted(again(page, f"{drain.url}/tasks", ROWS, VISITS))
    results.add("meanwhile, tasks page in a browser, first rows", _milliseconds(times), "95 of 100: 1 s")
    if not drain.store.waiting():
        raise SystemExit("the queue was empty before everything was looked at; use more --tasks")


def tell(results: Results, drain: Drain, slots: int) -> None:
    """What the database and the scheduler say of a queue that was worked off."""
    story = drain.story()
    count = len(story.rows)
    results.add(f"finished of {count:,}, starts", f"{story.finished:,}, {story.starts:,}", "all, once each")
    results.add(f"worked off, {slots} at once", f"{story.seconds:.0f} s, {count / story.seconds:.1f} a second")
    results.add("one task, from claim to end", f"{story.held() * 1000:.0f} ms")
    results.add("claim, by the scheduler", _milliseconds(drain.timed("claim")), "50 ms")
    results.add("round of the dispatcher, by the scheduler", _milliseconds(drain.timed("round")))
    results.add("end of a task to the claim of the next, by the database", _milliseconds(story.gaps()))
    results.add("started while it was another one's turn", f"{story.out_of_turn()} of {count:,}", "none")
    results.add("longest wait", f"{story.longest_wait():.0f} s", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000)
    parser.add_argument("--stored", type=int, default=100_000)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--real", type=int, default=20)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--only", default="store,drain,real")
    options = parser.parse_args()
    results, stored = Results(), options.stored
    print(f"{machine()}; {options.database}; {time.strftime('%Y-%m-%d')}")
    with database(options.database) as new:
        parts: dict[str, Callable[[], None]] = {
            "store": lambda: ask_store(results, new(), stored),
            "drain": lambda: work_off(results, new(), options.tasks, stored, options.slots, noop=True),
            "real": lambda: work_off(results, new(), options.real, stored, options.slots, noop=False),
        }
        for name in options.only.split(","):
            parts[name]()
    print(f"\n{results.table()}")


def _milliseconds(times: Sequence[float]) -> str:
    """Median and 95 of 100 of times in order."""
    return f"{statistics.median(times) * 1000:.1f} ms, {times[len(times) * 95 // 100] * 1000:.1f} ms"


if __name__ == "__main__":
    main()
