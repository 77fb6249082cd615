"""Notices that somebody has written to the queue's database, without reading it.

watch = Watch(engine)
watch.count()     # grows with what others write; the same number means that nothing has changed
"""

import threading
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection


class Watch:
    """Counts changes. On SQLite asking costs microseconds; on other databases each question counts as a change."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: PoolProxiedConnection | None = None  # of its own: it only sees what others write
        self._seen: Any = None
        self._count = 0

    def count(self) -> int:
        """How often somebody was seen to have written; may grow in vain."""
        with self._lock:
            if self._engine.dialect.name != "sqlite" or self._moved():
                self._count += 1
            return self._count

    def close(self) -> None:
        with self._lock:
            if self._connection:
                self._connection.close()
                self._connection = None

    def _moved(self) -> bool:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
        cursor = self._connection.cursor()
        cursor.execute("PRAGMA data_version")
        before, self._seen = self._seen, cursor.fetchone()
        cursor.close()
        return before != self._seen
