"""What only a queue on PostgreSQL can do wrong: other locks, a server that goes away, machines that share it."""

import os
import subprocess
import sys
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from scheduled import FAKE, LONG, Home
from sqlalchemy import text
from stored import CPU, REFUSED, add, raw, run_many

from minimind_platform import schema
from minimind_platform.database import open_engine, transaction
from minimind_platform.errors import DatabaseUnavailableError, PlatformError
from minimind_platform.schema import task as table
from minimind_platform.store import Store
from minimind_platform.sweeps.study import Studies
from minimind_platform.tasks import State
from minimind_platform.turns import Turn

SCHEDULER = """
import logging, sys
from pathlib import Path
from minimind_platform.errors import PlatformError
from minimind_platform.local_executor import LocalExecutor
from minimind_platform import scheduler
from minimind_platform.settings import Settings
scheduler.ERROR_PAUSE_SECONDS = 0.3
class NoMirror:
    def update(self, task): pass
settings = Settings(home=Path(sys.argv[1]), database_url=sys.argv[3], cpu_slots=2)
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
try:
    scheduler.run_forever(settings, LocalExecutor(settings, lambda _: [sys.executable, sys.argv[2]]), NoMirror(), 0.05)
except PlatformError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def url(postgres, migrated):
    return postgres.database(like=migrated)


@pytest.fixture
def own_cluster():
    """A server that a test may stop."""
    from postgres import MISSING, Cluster, program

    if program("initdb") is None:
        pytest.skip(MISSING)
    cluster = Cluster.start()
    yield cluster
    cluster.stop()


def begin(home, url):
    command = [sys.executable, "-c", SCHEDULER, str(home), str(FAKE), url]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def test_the_migrations_make_the_tables_of_the_schema(url):
    with open_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_history_goes_only_after_its_task_and_a_task_only_when_it_is_purged(store, url):
    task = add(store)
    with raw(url) as connection:
        for statement in ("DELETE FROM task_event", "DELETE FROM task"):
            with pytest.raises(REFUSED, match=r"append-only|being purged"):
                connection.execute(statement)
        connection.execute("UPDATE task SET purging_at = 1.0")
        connection.execute("DELETE FROM task")
        connection.execute("DELETE FROM task_event")
    assert store.get(task.id) is None and store.events(task.id) == []


def test_many_processes_may_open_a_new_database_at_once(postgres):
    script = "import sys; from minimind_platform.store import Store; print(Store(sys.argv[1]).page().total)"
    assert run_many(script, postgres.database(), processes=3) == ["0"] * 3


def test_a_task_that_somebody_moves_at_this_moment_is_passed_over_and_not_waited_for(store, url):
    add(store, "aa"), add(store, "bb")
    with transaction(Store(url).engine, write=True) as connection:
        connection.execute(table.update().where(table.c.id == "aa").values(name="held"))
        assert store.claim(CPU, 1e12).id == "bb"
    assert store.claim({"cpu": ["cpu:0", "cpu:1"]}, 1e12).id == "aa"


def test_one_claim_at_a_time_sees_what_the_other_has_taken(store, url):
    """Two schedulers must not both find the same slot free."""
    add(store, "aa"), add(store, "bb")
    other, found = Store(url), []
    with transaction(other.engine, write=True) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(7261947)"))
        late = threading.Thread(target=lambda: found.append(store.claim(CPU, 1e12)))
        late.start()
        late.join(0.3)
        assert late.is_alive()
        connection.execute(text("INSERT INTO lease VALUES ('cpu:0', 'zz', 1, 0)"))
    late.join(10)
    assert found == [None]


def test_texts_may_hold_any_character(store):
    task = add(store, name="a\0b 名前")
    failed = store.move(task, State.FAILED, "why\0", error="\0", hint="")
    assert (failed.name, failed.error, store.events(task.id)[-1].reason) == ("a\ufffdb 名前", "\ufffd", "why\ufffd")


def test_a_database_of_a_newer_program_is_refused(store, url):
    with raw(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(PlatformError, match="version 9999, newer than this program"):
        Store(url)


@pytest.mark.fault("secrets in logs or params")
def test_passwords_are_never_told(url):
    for open_it in (Store, lambda address: Studies(address)._opened()):
        with pytest.raises(PlatformError) as caught:
            open_it(f"postgresql://somebody:secret@/none?host={url.rpartition('=')[2]}")
        assert "secret" not in str(caught.value) and "somebody" in str(caught.value)


@pytest.mark.fault("two servers started at once")
def test_two_schedulers_on_different_machines_do_not_share_a_queue(tmp_path, url):
    first, second = (Turn(Store(url).engine, f"machine {number}") for number in (1, 2))
    first.keep(), first.keep()
    with pytest.raises(PlatformError, match="serves this queue already: machine 1"):
        second.keep()
    refused = begin(tmp_path, url)
    assert "already: machine 1" in refused.communicate(timeout=30)[0] and refused.returncode == 1
    first._drop()
    second.keep()


@pytest.mark.fault("database locked")
def test_a_server_that_goes_away_loses_nothing(tmp_path, own_cluster):
    """A task runs on while the database is away, what others want then is refused, and both are settled afterwards."""
    url = own_cluster.database()
    home = Home(tmp_path, database_url=url)
    runs, ends, waits = (home.submit(**config) for config in (LONG, {"steps": 20, "step_seconds": 0.1}, {"steps": 2}))
    scheduler = begin(tmp_path, url)
    try:
        home.run(ends, State.RUNNING, tick=False)
        home.wait_for_step(runs)
        pid = home.pid(runs)
        own_cluster.down()
        with pytest.raises(DatabaseUnavailableError, match="does not answer"):
            home.store.page()
        with pytest.raises(DatabaseUnavailableError):
            home.submit()
        assert home.store.changed()  # may say so in vain, never raises
        while not (home.settings.task_dir(ends) / "attempt-1" / "exit.json").exists():
            assert scheduler.poll() is None
        own_cluster.up()
        assert home.run(ends, State.FINISHED, tick=False).attempt == 1
        home.run(waits, State.FINISHED, tick=False)
        task = home.run(runs, State.RUNNING, tick=False)
        assert (task.attempt, home.pid(runs)) == (1, pid)
        home.stop(runs)
        home.run(runs, State.STOPPED, tick=False)
        assert home.store.leases() == {} and home.store.page().total == 3
    finally:
        scheduler.kill()
        said = scheduler.communicate()[0]
    assert "does not answer" in said
