"""A PostgreSQL server of the tests' own, in a temporary folder, reached by a socket there; a database for each test.

    cluster = Cluster.start()
    url = cluster.database()                   # an empty one
    url = cluster.database(like=other_url)     # a copy
    cluster.stop()

It runs as another user where the tests run as root, which PostgreSQL refuses. Nothing of it survives a power cut, so it
is fast.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import psycopg

MISSING = "PostgreSQL is not installed; tools/postgres.sh installs it"
FAST = "-c fsync=off -c full_page_writes=off -c max_connections=60"


def program(name: str) -> str | None:
    """Where a program of PostgreSQL's is; Debian keeps those of the server out of the path."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name))
    return shutil.which(name, path=os.pathsep.join(map(str, reversed(places)))) or shutil.which(name)


class Cluster:
    """One server; see the module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count(1)

    @classmethod
    def start(cls) -> "Cluster":
        """Make one and start it."""
        cluster = cls(Path(tempfile.mkdtemp(prefix="minimind-pg-", dir="/tmp")))  # a socket's path must be short
        if os.getuid() == 0:
            shutil.chown(cluster.folder, _user())
        words = ["--no-sync", "--no-instructions", "-A", "trust", "-U", "postgres", "--locale=C.UTF-8", "-E", "UTF8"]
        _run("initdb", "-D", str(cluster.data), *words)
        cluster.up()
        return cluster

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def up(self) -> None:
        options = f"-c listen_addresses= -k {self.folder} {FAST}"
        _run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def down(self, how: str = "immediate") -> None:
        """Stop it: at once, as a crash does, or "fast", as an administrator does."""
        _run("pg_ctl", "-D", str(self.data), "-w", "-m", how, "stop")

    def stop(self) -> None:
        """End it and remove it."""
        if (self.data / "postmaster.pid").exists():
            self.down()
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self, like: str = "postgresql:///template1") -> str:
        """The URL of a new database, empty or a copy of one that nobody is connected to."""
        name = f"test{next(self._numbers)}"
        template = like.partition("?")[0].rpartition("/")[2]
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"


def _run(name: str, *words: str) -> None:
    command = [program(name) or name, *words]
    user = _user() if os.getuid() == 0 else None
    # no pipe: the server would keep it open
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(command, stdout=output, stderr=output, user=user, cwd="/", check=False, timeout=60)
        output.seek(0)
        assert done.returncode == 0, output.read().decode()


def _user() -> str:
    """Somebody who is not root: the user of the package, else the one that stands for nobody."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
