"""Makes `revisions/NNNN.sql` of versions that have none yet. Run it after a new migration: python THIS_FILE."""

import json
import sqlite3
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from minimind_platform import database, schema

out = Path(__file__).with_name("revisions")

for rev in [one for one in schema.REVISIONS if not (out / f"{one}.sql").exists()]:
    f = Path(tempfile.mkdtemp()) / "a.db"
    e = database.make_engine(f"sqlite:///{f}")
    c = Config()
    c.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with database.transaction(e, write=True) as k:
        c.attributes["connection"] = k
        command.upgrade(c, rev)
    e.dispose()
    db = sqlite3.connect(f, isolation_level=None)
    base = {
        "type": "sft",
        "name": "first",
        "project": "minimind",
        "experiment_id": "1",
        "state": "QUEUED",
        "wants": "cpu",
        "search": "first",
        "priority": 2,
        "parent_id": "",
        "created_at": 1764000000.5,
        "queued_at": 1764000000.5,
        "not_before": 0.0,
        "attempt": 0,
        "attempt_step": 0,
        "restarts": 0,
        "fruitless": 0,
        "device": "",
        "waits_for": "",
        "error": "",
        "error_class": "",
        "hint": "",
        "mirrored_version": -1,
        "version": 0,
    }

    def ins(t, db=db, **v):
        cols = {r[1] for r in db.execute(f"PRAGMA table_info({t})")}
        v = {k: x for k, x in v.items() if k in cols}
        db.execute(f"INSERT INTO {t} ({','.join(v)}) VALUES ({','.join('?' * len(v))})", list(v.values()))

    ins(
        "task",
        **base
        | {
            "id": "aa",
            "key": "k1",
            "config": json.dumps({"learning_rate": 0.0005, "device": "cpu"}),
            "progress": json.dumps({"step": 30, "total_steps": 40, "loss": 2.5}),
        },
    )
    ins(
        "task",
        **base
        | {
            "id": "bb",
            "parent_id": "aa",
            "name": "名前 'quoted'",
            "config": json.dumps({"learning_rate": 0.001, "device": "cpu"}),
            "progress": "{}",
            "sweep_id": "s1",
            "trial": 0,
        },
    )
    for t, a in (("aa", "QUEUED"), ("bb", "QUEUED")):
        ins("task_event", task_id=t, at=1764000000.5, attempt=0, before="", after=a, reason="submitted")
    db.execute(
        "UPDATE task SET state='STARTING',version=1,attempt=1,device='cpu:0',started_at=1764000001.5 WHERE id='aa'"
    )
    ins(
        "task_event",
        task_id="aa",
        at=1764000001.5,
        attempt=1,
        before="QUEUED",
        after="STARTING",
        reason="its turn, on cpu:0",
    )
    ins("lease", slot="cpu:0", task_id="aa", attempt=1, taken_at=1764000001.5)
    if rev >= "0003":
        from minimind_platform.sweeps.spec import read_spec

        spec = read_spec("sft", {"data_path": "x"}, ["learning_rate"], {"pruner": "none"}).model_dump_json()
        ins(
            "sweep",
            id="s1",
            name="one",
            state="STOPPED",
            spec=spec,
            search="one",
            experiment_id="7",
            reason="",
            summary='{"counts": {}, "best": [], "best_values": [], "device_seconds": 0}',
            created_at=1764000000.5,
            ran_seconds=1.5,
            mirrored_version=-1,
            version=2,
        )
    (out / f"{rev}.sql").write_text("\n".join(db.iterdump()) + "\n", encoding="utf-8")
