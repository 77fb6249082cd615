"""Only one scheduler serves a queue on PostgreSQL, which machines can share: it holds a lock as long as its connection.

    turn = Turn(store.engine, "this machine: process 12")
    turn.keep()     # now, and before every round

An SQLite file is on one machine, where the lock in the home folder is enough.
"""

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from minimind_platform.database import SCHEDULER_LOCK
from minimind_platform.errors import DatabaseUnavailableError, PlatformError

NAME_LENGTH = 63
"""What PostgreSQL keeps of the name of a program."""
HOLDER = """
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND objid = :number AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Turn:
    """The right to schedule."""

    def __init__(self, engine: Engine, who: str) -> None:
        self._engine = engine
        self._who = who[:NAME_LENGTH]
        self._connection: Connection | None = None

    def keep(self) -> None:
        """Take it, or make sure that it is still ours. One round trip.

        Raises:
            DatabaseUnavailableError: the database does not answer; nobody may schedule then.
            PlatformError: another scheduler has it; says which.
        """
        if self._engine.dialect.name == "sqlite":
            return
        try:
            if self._connection is None:
                self._take()
            else:
                self._connection.execute(text("SELECT 1"))
        except DBAPIError as error:
            self._drop()
            raise DatabaseUnavailableError(f"The queue's database does not answer ({error.orig}).") from error

    def _take(self) -> None:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._connection = connection
        connection.execute(text("SELECT set_config('application_name', :who, false)"), {"who": self._who})
        if connection.scalar(text("SELECT pg_try_advisory_lock(:number)"), {"number": SCHEDULER_LOCK}):
            return
        holder = connection.scalar(text(HOLDER), {"number": SCHEDULER_LOCK}) or "unknown"
        self._drop()
        raise PlatformError(f"A scheduler serves this queue already: {holder}. One is enough; it serves all tasks.")

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
        self._connection = None
