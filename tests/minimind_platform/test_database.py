"""The database of the queue: made, migrated, newer, damaged, busy."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from stored import add, raw, run_many

from minimind_platform import database, schema
from minimind_platform.database import open_engine
from minimind_platform.errors import (
    DatabaseUnavailableError,
    PlatformError,
)
from minimind_platform.store import Store
from minimind_platform.tasks import MOVES

# the database


def test_the_migrations_make_the_tables_of_the_schema(url):
    with open_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


@pytest.mark.usefixtures("store")
def test_the_triggers_are_those_of_the_moves(url):
    with raw(url) as connection:
        found = [row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
    made = {statement.split()[2]: statement for statement in schema.trigger_sql(MOVES, "sqlite")}
    drop, guard, goes = schema.purge_sql("sqlite")
    made[drop.split()[2]] = guard
    assert sorted(found) == sorted([*made.values(), goes])


def test_history_goes_only_after_its_task_and_a_task_only_when_it_is_purged(store, url):
    task = add(store)
    with raw(url) as connection:
        for statement in ("DELETE FROM task_event", "DELETE FROM task"):
            with pytest.raises(sqlite3.IntegrityError, match=r"append-only|being purged"):
                connection.execute(statement)
        connection.execute("UPDATE task SET purging_at = 1.0")
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute("DELETE FROM task_event")
        connection.execute("DELETE FROM task")
        connection.execute("DELETE FROM task_event")
    assert store.get(task.id) is None and store.events(task.id) == []


@pytest.mark.usefixtures("store")
def test_writes_reach_the_disk_and_readers_never_wait(url):
    with open_engine(url).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_many_processes_may_open_a_new_database_at_once(url):
    script = "import sys; from minimind_platform.store import Store; print(Store(sys.argv[1]).page().total)"
    assert run_many(script, url, processes=5) == ["0"] * 5


@pytest.mark.usefixtures("store")
def test_a_database_of_a_newer_program_is_refused(url):
    with raw(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(PlatformError, match="version 9999, newer than this program"):
        Store(url)


def test_an_address_that_cannot_be_opened_is_told(tmp_path):
    (tmp_path / "folder.db").mkdir()
    for url in ("no url", f"sqlite:///{tmp_path / 'folder.db'}"):
        with pytest.raises(PlatformError):
            Store(url)


@pytest.mark.fault("database locked")
def test_a_database_that_does_not_answer_is_told_as_such(url, monkeypatch):
    monkeypatch.setattr(database, "LOCK_WAIT_SECONDS", 0.1)
    store = Store(url)
    with raw(url) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailableError, match="does not answer"):
            add(store)


def test_a_damaged_database_is_told_with_a_way_out(store, url):
    path = Path(url.removeprefix("sqlite:///"))
    add(store)
    store.close()
    content = path.read_bytes()
    path.write_bytes(b"no database at all" * 500)
    with pytest.raises(PlatformError, match="damaged") as caught:
        Store(url)
    assert "backup" in caught.value.hint
    path.write_bytes(content)
    opened = Store(url)
    with path.open("r+b") as file:  # the pages behind the first
        file.seek(4096)
        file.write(b"x" * (len(content) - 4096))
    with pytest.raises(PlatformError, match="damaged"):
        opened.page()


def test_the_migrations_are_part_of_the_package():
    assert (Path(schema.__file__).parent / "migrations" / "versions" / "0001_tasks.py").is_file()
