"""The home folder: making it, keeping a second platform out of it, and the ports it is reached on.

with only_platform(settings):
    prepare(settings)
"""

import contextlib
import fcntl
import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from minimind_platform.errors import PlatformError
from minimind_platform.settings import Settings

LOCK_FILE = "platform.lock"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
"""The names that the web app answers to without `allowed_hosts`."""


def prepare(settings: Settings) -> bool:
    """Make the folders and the tracking database; True if this home was empty before. One with a database elsewhere is
    not called empty: nobody who sets that up wants a demo."""
    empty = not settings.database_url and not settings.mlruns_dir.joinpath("app.db").exists()
    try:
        for folder in (settings.data_dir, settings.out_dir, settings.artifacts_dir, settings.mlruns_dir / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        if not settings.tracking_uri and not settings.tracking_database_url:
            prepare_tracking_database(settings.mlruns_dir / "tracking.db")
    except (OSError, sqlite3.Error) as error:
        raise PlatformError(
            f"The home folder {settings.home} cannot be used: {error}.",
            "Make it writable, or choose another with --home.",
        ) from None
    return empty


def prepare_tracking_database(path: Path) -> None:
    """Let MLflow's database be read while it is written, and tell its planner what is in it.

    MLflow does neither. Without the statistics, reading one curve scans that metric of all runs.
    """
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # lasts
        connection.execute("PRAGMA analysis_limit = 2000")
        connection.execute("ANALYZE")
        connection.commit()


@contextlib.contextmanager
def only_platform(settings: Settings) -> Iterator[None]:
    """Hold the home folder.

    Raises:
        PlatformError: another `minimind up` holds it; says which and where it is reached.
    """
    settings.mlruns_dir.mkdir(parents=True, exist_ok=True)
    path = settings.mlruns_dir / LOCK_FILE
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlatformError(_held(path, settings)) from None
        file.seek(0)
        file.truncate()
        ports = {"port": settings.port, "tracking_port": settings.tracking_port}
        json.dump({"pid": os.getpid(), "address": address(settings), **ports}, file)
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)  # the number of this process may be another program's one day


def as_running(settings: Settings) -> Settings:
    """These settings with the ports on which the platform of this home runs now, if it runs.

    `minimind up --port 9000` is found by other commands without telling them the port again.
    """
    try:
        holder = json.loads((settings.mlruns_dir / LOCK_FILE).read_text(encoding="utf-8"))
        os.kill(int(holder["pid"]), 0)
        return replace(settings, port=int(holder["port"]), tracking_port=int(holder["tracking_port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return settings


def address(settings: Settings) -> str:
    """Where a browser finds the web app."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def check_host(host: str) -> None:
    """Refuse to be reached from other machines.

    Raises:
        PlatformError: it is none of `LOCAL_HOSTS`.
    """
    if host in LOCAL_HOSTS:
        return
    raise PlatformError(
        f"The host {host!r} is refused: there are no users and passwords yet, so whoever reaches it could do anything.",
        "Use 127.0.0.1, and reach it from elsewhere through an SSH tunnel: ssh -L 8050:127.0.0.1:8050 THIS_MACHINE",
    )


def check_port(host: str, port: int, flag: str) -> None:
    """Make sure that a port is free.

    Raises:
        PlatformError: it is not; says who has it and how to take another.
    """
    if not 1 <= port <= 65_535:
        raise PlatformError(f"{flag} {port} is not a port; choose one from 1 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except PermissionError:
            raise PlatformError(f"Port {port} needs more rights; choose one above 1023 with {flag}.") from None
        except OSError:
            raise PlatformError(
                f"Port {port} is in use{_owner(port)}.", f"Stop that program, or choose another port with {flag}."
            ) from None


def _held(path: Path, settings: Settings) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return (
            f"MiniMind Platform runs in {settings.home} already: process {holder['pid']}, {holder['address']}. "
            "Use that one, or stop it with Ctrl-C there first."
        )
    except (OSError, ValueError, KeyError, TypeError):
        return f"MiniMind Platform runs in {settings.home} already. Use that one, or stop it first."


def _owner(port: int) -> str:
    """Who listens on a port, as far as this user may know."""
    import psutil

    try:
        listening = [
            c for c in psutil.net_connections("inet") if c.status == "LISTEN" and c.laddr and c.laddr[1] == port
        ]
        pid = next((c.pid for c in listening if c.pid), None)
        return f" by {psutil.Process(pid).name()} (process {pid})" if pid else " by another user's program"
    except psutil.Error:
        return ""
