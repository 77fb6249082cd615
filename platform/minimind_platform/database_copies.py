"""A database as one file, taken while others write to it, and back: SQLite as itself, PostgreSQL as its own dump.

copy = save("sqlite:////data/minimind/mlruns/app.db", Path("app"))     # app.sqlite; app.dump for PostgreSQL
load(copy, "sqlite:////data/other/mlruns/app.db")
"""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError

from minimind_platform.database import make_engine
from minimind_platform.errors import PlatformError

SQLITE, POSTGRESQL = ".sqlite", ".dump"
KINDS = {SQLITE: "sqlite", POSTGRESQL: "postgresql"}
PLAIN = ["--no-owner", "--no-privileges"]
"""Whoever restores may have another name there."""


def save(url: str, target: Path) -> Path | None:
    """Copy a database as it is at one moment.

    Args:
        url: of the database.
        target: the file without its suffix.

    Returns:
        The file; None if there is no database yet.

    Raises:
        PlatformError: it cannot be read, or PostgreSQL's tools are missing.
    """
    address = make_engine(url).url
    if address.get_backend_name() == "postgresql":
        file = target.with_suffix(POSTGRESQL)
        _tool("pg_dump", address, "--format=custom", *PLAIN, f"--file={file}")
        return file
    source, file = Path(address.database or ""), target.with_suffix(SQLITE)
    if not source.exists():
        return None
    try:
        with closing(sqlite3.connect(source, timeout=30)) as reader, closing(sqlite3.connect(file)) as writer:
            reader.backup(writer)
    except sqlite3.Error as error:
        raise PlatformError(f"The database {source} cannot be copied: {error}.") from error
    return file


def check_empty(url: str, kind: str, name: str) -> None:
    """Make sure that a copy can be restored here.

    Raises:
        PlatformError: the database is of another kind, cannot be opened, or has tables already.
    """
    engine = make_engine(url)
    if engine.dialect.name != kind:
        raise PlatformError(
            f"The backup has the database of {name} from {_title(kind)}, here it is {_title(engine.dialect.name)}.",
            "Restore it where the settings name the same kind.",
        )
    if kind == "sqlite" and not Path(engine.url.database or "").exists():
        return
    try:
        with engine.connect() as connection:
            tables = inspect(connection).get_table_names()
    except DatabaseError as error:
        raise PlatformError(f"The database {engine.url} cannot be opened: {error.orig}.") from error
    finally:
        engine.dispose()
    if tables:
        raise PlatformError(f"The database {engine.url} has data already; restore into an empty one.")


def load(file: Path, url: str) -> None:
    """Fill an empty database from a copy.

    Raises:
        PlatformError: PostgreSQL refuses, or its tools are missing.
    """
    address = make_engine(url).url
    if file.suffix == POSTGRESQL:
        _tool("pg_restore", address, "--exit-on-error", "--single-transaction", *PLAIN, str(file))
        return
    target = Path(address.database or "")
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as reader, closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)
        writer.execute("PRAGMA journal_mode = WAL")


def _tool(name: str, address: URL, *words: str) -> None:
    """One of PostgreSQL's own programs, with the password in its environment."""
    plain = address.set(drivername="postgresql", password=None).render_as_string()
    secret = {"PGPASSWORD": address.password} if address.password else {}
    command = [name, f"--dbname={plain}", *words]
    try:
        done = subprocess.run(command, env=os.environ | secret, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PlatformError(
            f"{name} is not installed; a database on PostgreSQL needs it.", "apt-get install postgresql-client"
        ) from None
    if done.returncode != 0:
        raise PlatformError(f"{name} failed for {plain}: {done.stderr.strip()}")


def _title(kind: str) -> str:
    return {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[kind]
