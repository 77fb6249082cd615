"""The tracking server: its database, which is brought up to date or refused, and what it is started with."""

import sqlite3
from contextlib import closing

import pytest

from minimind_platform.errors import PlatformError
from minimind_platform.settings import Settings
from minimind_platform.tracking_server import _revisions, command, environment, upgrade_database

OLDER = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
INSERT INTO alembic_version VALUES ('{version}');
"""


def made(settings, version):
    settings.mlruns_dir.mkdir(exist_ok=True)
    with closing(sqlite3.connect(settings.mlruns_dir / "tracking.db")) as connection:
        connection.executescript(OLDER.format(version=version))


def test_a_database_of_a_newer_mlflow_is_refused(tmp_path):
    settings = Settings(home=tmp_path)
    made(settings, "0123456789ab")
    with pytest.raises(PlatformError, match="version 0123456789ab, which the MLflow"):
        upgrade_database(settings)


def test_an_empty_one_is_left_to_mlflow_and_a_current_one_alone(tmp_path):
    settings = Settings(home=tmp_path)
    settings.mlruns_dir.mkdir()
    upgrade_database(settings)
    known, newest = _revisions()
    assert newest in known and len(known) > 20
    made(settings, newest)
    upgrade_database(settings)


def test_one_that_cannot_be_migrated_says_why(tmp_path):
    settings = Settings(home=tmp_path)
    known, newest = _revisions()
    made(settings, min(known - {newest}))  # of an older version, but without its tables
    with pytest.raises(PlatformError, match="cannot be brought up to date"):
        upgrade_database(settings)


@pytest.mark.fault("secrets in logs or params")
def test_no_password_stands_on_the_command_line(tmp_path):
    settings = Settings(home=tmp_path, tracking_database_url="postgresql://mini:secret@db/tracking")
    assert "secret" not in " ".join(command(settings))
    assert environment(settings)["MLFLOW_BACKEND_STORE_URI"].endswith("secret@db/tracking")
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" not in environment(settings) and "127.0.0.1" in command(settings)
    inside = Settings(home=tmp_path, in_container=True, allowed_hosts=("mlflow:5000",))
    assert environment(inside)["MLFLOW_SERVER_ALLOWED_HOSTS"] == "mlflow:5000" and "0.0.0.0" in command(inside)
