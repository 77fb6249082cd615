"""Backup and restore: what is in it, what is refused, and that it is whole while everything is being written."""

import io
import json
import os
import sqlite3
import tarfile
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from stored import CPU, add

from minimind_platform.backup import make_backup
from minimind_platform.cli import main
from minimind_platform.errors import PlatformError
from minimind_platform.restore import restore
from minimind_platform.settings import Settings
from minimind_platform.store import Store
from minimind_platform.sweeps.spec import read_spec
from minimind_platform.sweeps.study import Studies
from minimind_platform.tasks import State

SPEC = read_spec("sft", {"data_path": "x"}, ["learning_rate"], {"pruner": "none"})


@pytest.fixture
def settings(request, tmp_path):
    """Two homes: one with something in it, and an empty one."""
    homes = [Settings(home=tmp_path / name) for name in ("first", "second")]
    if getattr(request, "param", "sqlite") == "sqlite":
        return homes
    make = request.getfixturevalue("postgres").database
    return [
        replace(
            one, database_url=make(), study_url=make(), tracking_database_url=make(), tracking_uri="http://x/mlflow"
        )
        for one in homes
    ]


@pytest.fixture
def filled(settings):
    """A task with a checkpoint that is an artifact too, a study with a trial, a table of the tracking server."""
    first = settings[0]
    first.artifacts_dir.mkdir(parents=True)
    store = Store(first.database)
    task = add(store, "ab12", name="名前")
    store.move(store.claim(CPU, 1e12), State.FAILED, "no luck")
    store.close()
    study = Studies(first.studies).open("sweep", SPEC)
    study.complete(study.ask().number, [2.5])
    if not first.tracking_database_url:
        with closing(sqlite3.connect(first.mlruns_dir / "tracking.db")) as connection:
            connection.executescript("CREATE TABLE runs (id TEXT); INSERT INTO runs VALUES ('ab12')")
    folder = first.task_dir(task.id) / "checkpoints" / "step_000010"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights" * 1000)
    linked = first.artifacts_dir / "1" / task.id / "artifacts" / "model.safetensors"
    linked.parent.mkdir(parents=True)
    os.link(folder / "model.safetensors", linked)
    (first.task_dir(task.id) / "metrics.jsonl").write_text('{"kind": "metrics"}\n')
    (first.task_dir(task.id) / "spool.offset").write_text("20")
    for left_out in ("out/.cache/tokens/x", "out/.jobs/y/log.txt", "mlruns/logs/web.log", "out/ab12/.step.tmp/half"):
        (first.home / left_out).parent.mkdir(parents=True)
        (first.home / left_out).write_text("")
    (first.home / "minimind.toml").write_text("cpu_slots = 7\n")
    return first


def files(settings):
    return {
        str(path.relative_to(settings.home)): path.read_bytes()
        for folder in (settings.out_dir, settings.artifacts_dir)
        for path in folder.rglob("*")
        if path.is_file() and not {".cache", ".jobs", ".step.tmp"} & set(path.parts)
    }


@pytest.mark.parametrize("settings", ["sqlite", "postgresql"], indirect=True)
def test_a_restore_into_another_home_gives_the_same(filled, settings, tmp_path):
    _, second = settings
    file = tmp_path / "all.tar"
    done = make_backup(filled, file)
    assert done.databases == ("queue", "studies", "tracking") and (file.stat().st_mode & 0o777) == 0o600
    with tarfile.open(file) as tar:
        assert sum(member.size for member in tar if member.name.endswith(".safetensors")) == 7000  # once
    restore(second, file)
    assert files(second) == files(filled) and len(files(filled)) == 4
    before, after = Store(filled.database), Store(second.database)
    assert after.page() == before.page() and after.get("ab12").name == "名前"
    assert after.events("ab12") == before.events("ab12")
    assert [trial.values for trial in Studies(second.studies).open("sweep", SPEC).trials()] == [(2.5,)]
    assert (second.home / "minimind.toml").read_text() == "cpu_slots = 7\n"
    weights, artifact = second.out_dir.rglob("*.safetensors"), second.artifacts_dir.rglob("*.safetensors")
    assert next(weights).samefile(next(artifact))
    if not second.tracking_database_url:
        with closing(sqlite3.connect(second.mlruns_dir / "tracking.db")) as connection:
            assert connection.execute("SELECT id FROM runs").fetchall() == [("ab12",)]
    add(after, "cd34")  # it can be worked with
    for store in (before, after):
        store.close()


def test_nothing_is_written_over(filled, settings, tmp_path):
    file = tmp_path / "all.tar"
    make_backup(filled, file)
    with pytest.raises(PlatformError, match="exists already"):
        make_backup(filled, file)
    with pytest.raises(PlatformError, match="is not empty"):
        restore(filled, file)
    _, second = settings
    Store(second.database).close()
    with pytest.raises(PlatformError, match="has data already"):
        restore(second, file)
    assert not second.out_dir.exists()


def test_one_kind_of_database_is_not_restored_as_the_other(filled, settings, tmp_path):
    file = tmp_path / "all.tar"
    make_backup(filled, file)
    with pytest.raises(PlatformError, match="of queue from SQLite, here it is PostgreSQL"):
        restore(replace(settings[1], database_url="postgresql:///none"), file)


def test_a_backup_of_a_newer_version_and_what_is_none_are_refused(tmp_path):
    settings = Settings(home=tmp_path / "home")
    settings.home.mkdir()
    for entries, why in (
        ({"backup.json": json.dumps({"format": 1, "queue": "9999", "databases": {}})}, "newer version"),
        ({"other.json": "{}"}, "is not a backup"),
        ({"backup.json": "{}", "../outside": "x"}, "has an entry that no backup has"),
        ({"backup.json": "{}", "/tmp/outside": "x"}, "has an entry that no backup has"),
    ):
        with tarfile.open(tmp_path / "bad.tar", "w") as tar:
            for name, content in entries.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content.encode()))
        with pytest.raises(PlatformError, match=why):
            restore(settings, tmp_path / "bad.tar")
    (tmp_path / "bad.tar").write_text("no tar")
    with pytest.raises(PlatformError, match="cannot be restored"):
        restore(settings, tmp_path / "bad.tar")
    assert not (tmp_path / "outside").exists() and not settings.out_dir.exists()


def test_a_backup_is_whole_while_tasks_are_added(tmp_path):
    settings = [Settings(home=tmp_path / name) for name in ("first", "second")]
    store, ended = Store(settings[0].database), threading.Event()

    def write():
        while not ended.is_set():
            task = add(store)
            settings[0].task_dir(task.id).mkdir(parents=True)
            (settings[0].task_dir(task.id) / "log.txt").write_text("a line\n" * 1000)

    writer = threading.Thread(target=write)
    writer.start()
    while store.page().total < 20:
        pass
    make_backup(settings[0], tmp_path / "all.tar")
    ended.set()
    writer.join()
    restore(settings[1], tmp_path / "all.tar")
    restored = Store(settings[1].database)
    tasks = [task for task in store.waiting() if restored.get(task.id)]
    assert len(tasks) == restored.page().total >= 20
    assert all(len(restored.events(task.id)) == 1 for task in tasks)


def test_the_commands_say_what_they_did(filled, settings, tmp_path, capsys):
    assert main(["backup", str(tmp_path / "all.tar"), "--home", str(filled.home)]) == 0
    assert "databases: queue, studies, tracking" in capsys.readouterr().out
    assert main(["backup-restore", str(tmp_path / "all.tar"), "--home", str(settings[1].home)]) == 0
    assert str(settings[1].home) in capsys.readouterr().out
    assert main(["backup-restore", str(tmp_path / "all.tar"), "--home", str(settings[1].home)]) == 1
    assert "is not empty" in capsys.readouterr().err
