"""Databases of all versions before, as they were with tasks in them, become those of today; newer ones are refused.

`revisions/NNNN.sql` is what SQLite had at that version, made by store_revisions.py; a released one is never changed.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from minimind_platform import schema
from minimind_platform.errors import PlatformError
from minimind_platform.store import Store
from minimind_platform.sweeps.store import SweepStore
from minimind_platform.sweeps.study_storage import open_storage
from minimind_platform.tasks import State

STORED = Path(__file__).with_name("revisions")
CPU = {"cpu": ["cpu:0", "cpu:1"]}


def made(folder, revision):
    path = folder / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((STORED / f"{revision}.sql").read_text(encoding="utf-8"))
    return f"sqlite:///{path}"


def test_every_version_is_stored():
    assert sorted(path.stem for path in STORED.glob("*.sql")) == list(schema.REVISIONS)


@pytest.mark.parametrize("revision", schema.REVISIONS)
def test_a_database_of_an_older_version_goes_on(tmp_path, revision):
    store = Store(made(tmp_path, revision))
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    running, queued = store.get("aa"), store.get("bb")
    assert (running.state, running.attempt, running.device, running.priority) == (State.STARTING, 1, "cpu:0", 2)
    assert (running.progress.step, running.progress.loss, running.config["learning_rate"]) == (30, 2.5, 5e-4)
    assert (queued.name, queued.parent_id, store.by_key("k1").id) == ("名前 'quoted'", "aa", "aa")
    assert [event.after for event in store.events("aa")] == ["QUEUED", "STARTING"]
    assert store.leases() == {"cpu:0": "aa"} and store.page().total == 2
    if revision >= "0003":
        assert [sweep.name for sweep in SweepStore(store.engine).page().sweeps] == ["one"]
        assert [task.id for task in store.trials("s1")] == ["bb"]
    assert store.claim(CPU, 1e12).id == "bb"
    ended = store.move(store.move(store.get("aa"), State.RUNNING, "runs"), State.FAILED, "no luck")
    assert (ended.state, store.leases()) == (State.FAILED, {"cpu:1": "bb"})
    store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_studies_of_a_newer_optuna_are_refused(request, tmp_path, kind):
    url = f"sqlite:///{tmp_path}/optuna.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").database()
    storage = open_storage(url)
    with storage.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v99.0.0.a'"))
    storage.engine.dispose()
    with pytest.raises(PlatformError, match=r"version v99\.0\.0\.a, which the Optuna"):
        open_storage(url)


def test_studies_of_an_older_optuna_are_migrated(tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    storage = open_storage(url)
    newest, before = storage.get_head_version(), storage.get_all_versions()[1]
    with storage.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :before"), {"before": before})
    storage.engine.dispose()
    assert open_storage(url).get_current_version() == newest
