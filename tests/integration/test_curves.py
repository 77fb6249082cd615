"""Curves from the database that a real tracking server keeps."""

import random
import sqlite3
from contextlib import closing

import pytest

from minimind_platform import Platform, Settings

STEPS = 1_000_000
RUN = "5e" * 16
POINTS = f"""
WITH RECURSIVE n(step) AS (SELECT 0 UNION ALL SELECT step + 1 FROM n WHERE step < {STEPS - 1})
INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)
SELECT 'train/loss', 2 + (step * 7919 % 1000) / 5000.0, 1764000000000 + step * 40, '{RUN}', step, 0 FROM n
"""


@pytest.fixture
def theirs(tracking, tmp_path):
    """A platform whose tracking database has a long run that nobody here has started; with its 20 spikes by step."""
    (tmp_path / "mlruns").mkdir()
    spikes = dict(zip(random.Random(20).sample(range(STEPS), 20), [1e3, -1e3] * 10, strict=True))
    source, target = tracking.mlruns_dir / "tracking.db", tmp_path / "mlruns" / "tracking.db"
    with closing(sqlite3.connect(source)) as server, closing(sqlite3.connect(target)) as ours:
        server.backup(ours)
        ours.execute("PRAGMA journal_mode = WAL")
        ours.execute("PRAGMA synchronous = OFF")
        run = f"INSERT INTO runs (run_uuid, name, status, lifecycle_stage, experiment_id) VALUES ('{RUN}', 'long', "
        ours.execute(run + "'RUNNING', 'active', 0)")
        ours.execute(POINTS)
        ours.executemany("UPDATE metrics SET value = ? WHERE run_uuid = ? AND step = ?", [
            (value, RUN, step) for step, value in spikes.items()
        ])  # fmt: skip
        ours.commit()
    return Platform(Settings(home=tmp_path, tracking_port=tracking.tracking_port)), spikes


def test_a_million_steps_show_twenty_of_twenty_spikes_and_the_raw_points_where_one_looks_closer(theirs):
    platform, spikes = theirs
    part = platform.curves.read(RUN, ["train/loss"]).parts["train/loss"]
    assert (part.width, len(part.steps), sum(part.count)) == (1_024, 977, STEPS)
    shown = {
        step
        for step, value in spikes.items()
        if (part.high if value > 0 else part.low)[step // part.width] == value
        and part.steps[step // part.width] <= step
    }
    assert shown == set(spikes)
    for step, value in spikes.items():
        closer = platform.curves.zoom(RUN, ["train/loss"], step - 400, step + 400).parts["train/loss"]
        assert closer.width == 1
        assert closer.steps == list(range(max(0, step - 400), min(STEPS, step + 401)))
        assert closer.mean[closer.steps.index(step)] == value
    assert platform.curves.read(RUN, ["train/loss"], {"train/loss": (1_024, STEPS - 1)}).parts == {}


def test_what_anybody_logs_to_the_server_is_there_with_the_next_look(tracking, mlflow):
    run = mlflow("runs/create", {"experiment_id": "0", "run_name": "by hand"})["run"]["info"]["run_id"]
    platform = Platform(Settings(home=tracking.home, tracking_port=tracking.tracking_port))

    def log(*values):
        metrics = [{"key": "m/x", "value": value, "timestamp": 1, "step": step} for step, value in values]
        mlflow("runs/log-batch", {"run_id": run, "metrics": metrics})

    log((1, 0.5), (2, "NaN"), (3, 1.5), (3, 2.5))
    mlflow("runs/log-batch", {"run_id": run, "params": [{"key": "lr", "value": "0.1"}]})
    facts, keys = platform.curves.facts(run)
    assert (facts.name, facts.status, facts.task_id, facts.params, keys) == (
        "by hand", "RUNNING", None, {"lr": "0.1"}, ["m/x"],
    )  # fmt: skip
    part = platform.curves.read(run, keys).parts["m/x"]
    assert (part.width, part.steps, part.mean, part.nans) == (1, [1, 3], [0.5, 2.0], [2])
    log((4, "Infinity"), (5, 3.0))
    platform.curves.forget(run)
    part = platform.curves.read(run, keys, {"m/x": (1, 3)}).parts["m/x"]
    assert (part.steps, part.nans) == ([3, 5], [4])
    elsewhere = Platform(Settings(home=tracking.home / "elsewhere", tracking_uri=tracking.tracking))
    served = elsewhere.curves.read(run, keys).parts["m/x"]
    assert (served.steps, served.mean) == ([1, 3, 5], [0.5, 2.0, 3.0])
    assert elsewhere.curves.facts(run) == (facts, keys)
