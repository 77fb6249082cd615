"""A tracking database as MLflow makes it, as far as curves need it, and points in it."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

RUN = "ab" * 16
TABLES = """
CREATE TABLE runs (run_uuid VARCHAR(32) PRIMARY KEY, name VARCHAR(250), status VARCHAR(9), start_time BIGINT,
    end_time BIGINT, lifecycle_stage VARCHAR(20), experiment_id INTEGER);
CREATE TABLE params (key VARCHAR(250), value VARCHAR(8000), run_uuid VARCHAR(32), PRIMARY KEY (key, run_uuid));
CREATE TABLE latest_metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT, step BIGINT NOT NULL,
    is_nan BOOLEAN NOT NULL, run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY ("key", run_uuid));
CREATE TABLE metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
    run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
    PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan));
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE INDEX index_metrics_run_uuid_key_step ON metrics (run_uuid, "key", step);
"""

Point = tuple[int, float | None]
"""Step and value; None for what is no number."""


def new_database(path: Path) -> Path:
    """An empty one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(TABLES)
    return path


def log_points(path: Path, points: Iterable[Point], key: str = "train/loss", run: str = RUN, at: int = 0) -> None:
    """Add points to a run, a second apart from `at` on, as MLflow writes them."""
    rows = [
        (key, 0.0 if value is None else value, (at + step) * 1000, run, step, value is None) for step, value in points
    ]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT OR IGNORE INTO runs (run_uuid, name, status, start_time, lifecycle_stage, experiment_id)"
            " VALUES (?, 'theirs', 'RUNNING', 1000, 'active', 0)",
            (run,),
        )
        connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("INSERT OR REPLACE INTO latest_metrics VALUES (?, 0, 0, 0, 0, ?)", (key, run))
        connection.commit()
