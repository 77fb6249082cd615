"""What tests of the queue have in common: tasks to add, a look past the store, several processes at once."""

import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config

from minimind_platform import database
from minimind_platform.store import NewTask

CPU = {"cpu": ["cpu:0"]}
numbers = count()


def new(task_id="", *, key="", name="first", kind="sft", priority=0, **config):
    task_id = task_id or f"{next(numbers):032x}"
    config = {"device": "auto", "data_path": "dataset/samples/sft.jsonl"} | config
    return NewTask(task_id, key, kind, name, "minimind", "1", config, priority)


def add(store, task_id="", **values):
    return store.add(new(task_id, **values))[0]


@contextmanager
def raw(url):
    """The database itself, past all of our code; each statement is a transaction."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            yield connection
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection


def at_revision(url, revision):
    """An empty database as an older version of the program made it."""
    if not url.startswith("sqlite"):  # it was copied from one with all tables
        with raw(url) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    engine = database.make_engine(url)
    with database.transaction(engine, write=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


REFUSED = (sqlite3.IntegrityError, psycopg.errors.RaiseException)
"""What a trigger answers with."""


def run_many(script, *arguments, processes):
    command = [sys.executable, "-c", script, *arguments]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    outputs = [process.communicate(timeout=60)[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    return [line for output in outputs for line in output.splitlines()]
