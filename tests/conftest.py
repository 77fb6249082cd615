"""Shared by all tests: an environment and ports of their own, and the reference files, which lie beside the project on
the machines of its developers."""

import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

PORTS = range(10_000, 32_000)
"""Below those that the kernel gives away by itself, to whoever asks for any port and to every connection."""
SHARED = Path(__file__).resolve().parents[2] / "shared"


if TYPE_CHECKING:
    from postgres import Cluster


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from scheduling import Scheduling

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Reference figures and real data; skips where they are missing."""
    if not (SHARED / "fixtures" / "minimind").is_dir():
        pytest.skip(f"the reference files are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def minimind(shared_dir: Path) -> Path:
    """Reference weights, logits and losses of MiniMind."""
    return shared_dir / "fixtures" / "minimind"


@pytest.fixture(scope="session")
def real_data(shared_dir: Path) -> Path:
    """Small real data sets in MiniMind's formats."""
    return shared_dir / "data"


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a test changes in the environment, the next one does not find: commands called in this process may."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Gives ports that nobody listens on, each once, and to each worker others: a port is free until its server starts
    to listen."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ours = iter(random.sample(PORTS[worker::workers], 200))

    def find() -> int:
        for port in ours:
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) != 0:
                    return port
        raise AssertionError("no port is free")

    return find


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Cluster]":
    """A PostgreSQL server of our own; skips where there is none and says how to get it."""
    from postgres import MISSING, Cluster, program

    if program("initdb") is None:
        pytest.skip(MISSING)
    cluster = Cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def migrated(postgres: "Cluster") -> str:
    """An up-to-date database of the queue, to be copied: migrations take longer than copies."""
    from minimind_platform.store import Store

    url = postgres.database()
    Store(url).close()
    return url
