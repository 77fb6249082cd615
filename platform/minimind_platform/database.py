"""Opens the queue's database, SQLite or PostgreSQL, and brings its tables up to date.

    engine = open_engine("sqlite:////data/minimind/mlruns/app.db")
    with transaction(engine, write=True) as connection: ...

Safe to call from many processes at once. SQLite runs in WAL mode on a local disk; every write takes the write lock at
its beginning (`BEGIN IMMEDIATE`), because a lock taken half way cannot be waited for and fails at once. PostgreSQL
locks rows; what must be alone there takes an advisory lock, each with a number of its own here.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

from minimind_platform.errors import DatabaseUnavailableError, PlatformError
from minimind_platform.schema import REVISIONS
from trainer.fault_points import reach

LOCK_WAIT_SECONDS = 30
RESTORE = "Restore it from a backup, or move it away to begin with an empty queue."
# Any numbers that nobody else uses for advisory locks in this database.
MIGRATION_LOCK = 7_261_946
CLAIM_LOCK = 7_261_947
SCHEDULER_LOCK = 7_261_948
CONNECT_SECONDS = 10
IDLE_SECONDS = 60
"""A process that was paused in a transaction holds its locks so long; then PostgreSQL ends the transaction."""


def open_engine(url: str) -> Engine:
    """Open the database, creating or migrating it if needed.

    Raises:
        PlatformError: it cannot be opened, or was written by a newer version of this program.
    """
    engine = make_engine(url)
    address = engine.url
    try:
        if not _is_current(engine):
            _migrate(engine)
    except OperationalError as error:
        raise PlatformError(f"The database {address} cannot be opened: {error.orig}.") from error
    except DatabaseError as error:
        raise PlatformError(f"The database {address} is damaged: {error.orig}.", RESTORE) from error
    return engine


def make_engine(url: str) -> Engine:
    """An engine for a database of ours, SQLite or PostgreSQL. Nothing is opened yet.

    Raises:
        PlatformError: it is no URL, or that of another kind of database.
    """
    try:
        address = make_url(url)
    except ArgumentError:
        raise PlatformError(
            "This is not the URL of a database. Try sqlite:////full/path/app.db or postgresql://user@host/name."
        ) from None
    kind = address.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise PlatformError(f"The database {address} is neither SQLite nor PostgreSQL; no other kind is supported.")
    return _sqlite(address) if kind == "sqlite" else _postgresql(address)


@contextmanager
def transaction(engine: Engine, *, write: bool = False) -> Iterator[Connection]:
    """One transaction, rolled back on any error."""
    try:
        with engine.execution_options(write=write).begin() as connection:
            yield connection
            if write:
                reach("store.before_commit")
        if write:
            reach("store.after_commit")
    except OperationalError as error:
        message = f"The queue's database does not answer ({error.orig}). Try again in a moment."
        raise DatabaseUnavailableError(message) from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # such as a key that is there already
            raise
        raise PlatformError(f"The queue's database is damaged: {error.orig}.", RESTORE) from error


def _sqlite(address: URL) -> Engine:
    Path(address.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, connect_args={"timeout": LOCK_WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        connection.execute("PRAGMA synchronous = FULL")  # an accepted submit survives a power cut

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _postgresql(address: URL) -> Engine:
    engine = create_engine(
        address.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,  # the server may have been started again meanwhile
        connect_args={"connect_timeout": CONNECT_SECONDS, "keepalives_idle": IDLE_SECONDS},
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.execute(f"SET lock_timeout = '{LOCK_WAIT_SECONDS}s'")
        connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        connection.commit()

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def executed(_c: Any, _cursor: Any, statement: str, given: Any, _context: Any, many: bool) -> tuple[str, Any]:
        return statement, [_storable(one) for one in given] if many else _storable(given)

    return engine


def _storable(given: Any) -> Any:
    """PostgreSQL refuses the character NUL in texts, which names and error messages may hold."""
    if not isinstance(given, Mapping):
        return given
    return {name: value.replace("\0", "\ufffd") if isinstance(value, str) else value for name, value in given.items()}


def _is_current(engine: Engine) -> bool:
    """Whether there is nothing to migrate. Asked first, because Alembic takes a while to import."""
    with engine.begin() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if found is not None and found not in REVISIONS:
        raise PlatformError(
            f"The database has version {found}, newer than this program, which knows {REVISIONS[-1]}. "
            "Update MiniMind Platform, or use the home folder of an older installation."
        )
    return found == REVISIONS[-1]


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with alone(engine):
        if _is_current(engine):  # another process was faster
            return
        with transaction(engine, write=True) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


@contextmanager
def alone(engine: Engine) -> Iterator[None]:
    """Keep other processes from creating or migrating tables at the same time. An SQLite file gets WAL mode."""
    if engine.dialect.name != "sqlite":
        # Without a transaction: it would be idle for as long as the migration takes.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": MIGRATION_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": MIGRATION_LOCK})
        return
    with Path(f"{engine.url.database}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode = WAL")  # lasts; needs the database for itself once
        finally:
            raw.close()
        yield
