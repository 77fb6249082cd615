"""Notices that somebody has written to the queue's database, without reading it.

watch = Watch(engine)
watch.count()     # grows with what others write; the same number means that nothing has changed
"""

import threading
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError


class Watch:
    """Counts changes. Asking costs microseconds on SQLite, a round trip on PostgreSQL, which counts what is written to
    other databases of the same server too."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._lock = threading.Lock()
        self._connection: PoolProxiedConnection | None = None  # of its own: it only sees what others write
        self._seen: Any = None
        self._count = 0

    def count(self) -> int:
        """How often somebody was seen to have written; may grow in vain."""
        with self._lock:
            if self._moved():
                self._count += 1
            return self._count

    def close(self) -> None:
        with self._lock:
            if self._connection:
                self._connection.close()
                self._connection = None

    def _moved(self) -> bool:
        before = self._seen
        try:
            self._seen = self._look()
        except (DBAPIError, self._engine.dialect.loaded_dbapi.Error):  # it is away; the next transaction says so
            self._forget()
            return True
        return before != self._seen

    def _look(self) -> Any:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
        cursor = self._connection.cursor()
        # The snapshot names the transactions that have not ended, so each end of one changes it.
        cursor.execute("PRAGMA data_version" if self._is_sqlite else "SELECT pg_current_snapshot()::text")
        seen = cursor.fetchone()
        cursor.close()
        if not self._is_sqlite:
            self._connection.rollback()  # the next snapshot is a new one
        return seen

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.invalidate()
