"""MLflow's server as we run it: its command, its database brought up to date, and what it must not do.

    upgrade_database(settings)
    Server("tracking server", command(settings), log, ready, environment(settings))

    python -m minimind_platform.tracking_server      # both, in a container of its own

The URL of the database is in the environment and not in the command, which everybody on the machine can read.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError

from minimind_platform.database import alone, make_engine
from minimind_platform.errors import PlatformError
from minimind_platform.settings import Settings

UPGRADE = """
import os
from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine
_upgrade_db(create_sqlalchemy_engine(os.environ["MLFLOW_BACKEND_STORE_URI"]))
"""
_REVISION = re.compile(r"""^revision(?:: str)? = ["'](\w+)["']""", re.MULTILINE)
_BEFORE = re.compile(r"""^down_revision.* = ["'](\w+)["']""", re.MULTILINE)


def command(settings: Settings) -> list[str]:
    """What starts it."""
    host = "0.0.0.0" if settings.in_container else "127.0.0.1"
    line = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", host]
    line += ["--port", str(settings.tracking_port)]
    line += ["--artifacts-destination", str(settings.artifacts_dir.absolute()), "--serve-artifacts"]
    return [*line, "--static-prefix", "/mlflow", "--uvicorn-opts", "--no-access-log"]


def environment(settings: Settings) -> dict[str, str]:
    """What it finds in its environment."""
    values = {
        "MLFLOW_BACKEND_STORE_URI": settings.tracking_database,
        # Jobs are for language model evaluation and take 13 processes; we run none.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    if settings.in_container:  # reached under the name of its container; MLflow's own list is that of one machine
        values["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(settings.allowed_hosts)
    return values


def upgrade_database(settings: Settings) -> None:
    """Migrate a database of an older MLflow. A new one is left to MLflow, which makes its tables when it starts.

    Raises:
        PlatformError: it cannot be opened or migrated, or a newer MLflow has written it.
    """
    if not upgrade_needed(settings):
        return
    engine = make_engine(settings.tracking_database)
    try:
        with alone(engine):
            if upgrade_needed(settings):  # else another process was faster
                _upgrade(settings)
    finally:
        engine.dispose()


def upgrade_needed(settings: Settings) -> bool:
    """Whether an older MLflow has written the database.

    Raises:
        PlatformError: it cannot be opened, or a newer MLflow has written it.
    """
    engine = make_engine(settings.tracking_database)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return False
            found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    except DatabaseError as error:
        raise PlatformError(f"The tracking database {engine.url} cannot be opened: {error.orig}.") from error
    finally:
        engine.dispose()
    known, newest = _revisions()
    if found is not None and found not in known:
        raise PlatformError(
            f"The tracking database {engine.url} has version {found}, which the MLflow of this installation "
            f"does not know; its newest is {newest}. Update MiniMind Platform, or restore a backup."
        )
    return found not in (None, newest)


def _upgrade(settings: Settings) -> None:
    environ = {**os.environ, **environment(settings)}
    done = subprocess.run([sys.executable, "-c", UPGRADE], env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason was given"]
        raise PlatformError(f"The tracking database cannot be brought up to date: {last[0]}.", "Restore a backup.")


def _revisions() -> tuple[set[str], str]:
    """All versions of MLflow's database and the newest, read from its files: importing MLflow takes seconds."""
    found = find_spec("mlflow")
    assert found and found.origin
    texts = [path.read_text(encoding="utf-8") for path in _versions(Path(found.origin).parent)]
    known = {match[1] for one in texts if (match := _REVISION.search(one))}
    before = {match[1] for one in texts if (match := _BEFORE.search(one))}
    [newest] = known - before
    return known, newest


def _versions(package: Path) -> list[Path]:
    return sorted((package / "store" / "db_migrations" / "versions").glob("*.py"))


def main() -> None:
    """Become the server."""
    try:
        settings = Settings.load()
        settings.artifacts_dir.mkdir(parents=True, exist_ok=True)
        upgrade_database(settings)
    except PlatformError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        sys.exit(1)
    line = command(settings)
    os.execve(line[0], line, {**os.environ, **environment(settings)})


if __name__ == "__main__":
    main()
