"""Reads the metrics of runs from the database of the platform's own tracking server, without the server.

    history = TrackingFile(settings.mlruns_dir / "tracking.db", otherwise)
    history.overview(run_id, "train/loss")      # 1,000,000 points in about half a second

Only reads, beside the server that writes (WAL). A database whose tables are not as expected is left to `otherwise`.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from minimind_platform.curves.buckets import LARGEST, MOST_BUCKETS, MOST_NANS, Buckets
from minimind_platform.curves.history import History, Row, RunFacts
from minimind_platform.errors import NotFoundError, TrackingUnavailableError

BUSY_SECONDS = 2.0
LAST_STEP = 2**62
INDEX = "index_metrics_run_uuid_key_step"
COLUMNS = {"key", "value", "timestamp", "run_uuid", "step", "is_nan"}
# Named, because the planner without fresh statistics would scan this metric of all runs.
POINTS = f"metrics INDEXED BY {INDEX} WHERE run_uuid = :run AND key = :key AND step BETWEEN"
# A select for each bucket walks the index once; GROUP BY would sort all rows first and take twice as long. The ends of
# a bucket are looked up rather than aggregated, for the same reason.
OF_BUCKET = f"FROM {POINTS} bucket.begin AND bucket.begin + :width - 1"
BUCKETS = f"""
WITH RECURSIVE bucket(begin) AS (
    SELECT :begin UNION ALL SELECT begin + :width FROM bucket WHERE begin + :width <= :end)
SELECT begin,
       (SELECT min(step) {OF_BUCKET}), (SELECT max(step) {OF_BUCKET}),
       (SELECT json_array(min(value), max(value), total(value), count(*), max(is_nan)) {OF_BUCKET}),
       (SELECT timestamp / 1000.0 {OF_BUCKET} ORDER BY step DESC, timestamp DESC LIMIT 1)
FROM bucket
"""
IS_NUMBER = f"NOT is_nan AND abs(value) < {LARGEST}"
NUMBERS = f"""
SELECT min(step), max(step), min(value), max(value), total(value), count(*), max(timestamp) / 1000.0
FROM {POINTS} :begin AND :end AND {IS_NUMBER}
"""
EXTENT = f"SELECT count(*), min(step), max(step) FROM {POINTS} :begin AND :end"
ROWS = f"""
SELECT step, CASE WHEN is_nan THEN NULL ELSE value END, timestamp / 1000.0
FROM {POINTS} :begin AND :end ORDER BY step, timestamp
"""
NANS = f"SELECT step FROM {POINTS} :begin AND :end AND NOT ({IS_NUMBER}) ORDER BY step LIMIT :most"


class TrackingFile:
    """History of runs, as `History`. Safe to use from many threads: each has a connection of its own."""

    def __init__(self, path: Path, otherwise: History) -> None:
        self._path, self._otherwise = path, otherwise
        self._own = threading.local()
        self._readable: bool | None = None

    def facts(self, run_id: str) -> tuple[RunFacts, list[str]]:
        if not self.readable:
            return self._otherwise.facts(run_id)
        of_run = {"run": run_id}
        found = self._all(
            "SELECT name, status, experiment_id, start_time, end_time, lifecycle_stage FROM runs WHERE run_uuid = :run",
            of_run,
        )
        if not found:
            raise NotFoundError(f"There is no run {run_id!r}.")
        name, status, experiment, begin, end, stage = found[0]
        params = dict(self._all("SELECT key, value FROM params WHERE run_uuid = :run ORDER BY key", of_run))
        keys = self._all("SELECT key FROM latest_metrics WHERE run_uuid = :run ORDER BY key", of_run)
        facts = RunFacts(
            id=run_id,
            name=name or "",
            status=status or "",
            experiment_id=str(experiment),
            started_at=begin / 1000 if begin else None,
            ended_at=end / 1000 if end else None,
            task_id=None,
            params=params,
            deleted=stage == "deleted",
        )
        return facts, [key for (key,) in keys]

    def overview(self, run_id: str, key: str) -> Buckets:
        return self.piece(run_id, key, -LAST_STEP, LAST_STEP)

    def rows(self, run_id: str, key: str, begin: int) -> Iterable[Row]:
        if not self.readable:
            return self._otherwise.rows(run_id, key, begin)
        return self._all(ROWS, {"run": run_id, "key": key, "begin": begin, "end": LAST_STEP})

    def piece(self, run_id: str, key: str, begin: int, end: int) -> Buckets:
        if not self.readable:
            return self._otherwise.piece(run_id, key, begin, end)
        place: dict[str, Any] = {"run": run_id, "key": key, "begin": begin, "end": end}
        count, first, last = self._all(EXTENT, place)[0]
        if not count:
            return Buckets()
        if count <= MOST_BUCKETS:
            buckets = Buckets()
            for step, value, at in self._all(ROWS, place):
                buckets.add(step, value, at)
            return buckets
        return self._in_buckets(place, first, last)

    @property
    def readable(self) -> bool:
        """Whether the tables are there and as expected; once they are they stay so."""
        if not self._readable:
            try:
                columns = {row[1] for row in self._all("PRAGMA table_info(metrics)", {})}
                indexes = {row[1] for row in self._all("PRAGMA index_list(metrics)", {})}
                self._readable = columns >= COLUMNS and INDEX in indexes
            except TrackingUnavailableError:
                self._readable = False
        return self._readable

    def _in_buckets(self, place: dict[str, Any], first: int, last: int) -> Buckets:
        width = 1
        while last // width - first // width >= MOST_BUCKETS:
            width *= 2
        buckets = Buckets(width)
        nans = MOST_NANS
        for begin, step, newest, told, at in self._all(
            BUCKETS, place | {"begin": first // width * width, "end": last, "width": width}
        ):
            low, high, total, count, is_nan = json.loads(told)
            if count and not is_nan and low > -LARGEST and high < LARGEST:
                buckets.join(step, newest, low, high, total, count, at)
            elif count:
                nans -= self._add_unclean(buckets, place | {"begin": begin, "end": begin + width - 1}, nans)
        return buckets

    def _add_unclean(self, buckets: Buckets, place: dict[str, Any], most: int) -> int:
        """Add a bucket with values that are no numbers, and tell how many of these were taken, at most that many."""
        numbers = self._all(NUMBERS, place)[0]
        if numbers[0] is not None:
            buckets.join(*numbers)
        steps = self._all(NANS, place | {"most": most})
        for (step,) in steps:
            buckets.add(step, None, 0.0)
        return len(steps)

    def _all(self, query: str, values: dict[str, Any]) -> list[Any]:
        try:
            with closing(self._connection().execute(query, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise TrackingUnavailableError(f"The tracking database {self._path} cannot be read: {error}.") from None

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection, a new one when the file was replaced."""
        file = self._path.stat() if self._path.exists() else None
        known = getattr(self._own, "connection", None)
        if known is None or file is None or self._own.file != (file.st_dev, file.st_ino):
            if known is not None:
                known.close()
            self._own.connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
            self._own.file = (file.st_dev, file.st_ino) if file else None
        return self._own.connection
