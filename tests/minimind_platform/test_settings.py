"""Where settings come from, and which source wins."""

from dataclasses import fields, replace

import pytest

from minimind_platform.errors import PlatformError
from minimind_platform.settings import RANGES, Settings


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("HOME", "PORT", "DATA_ROOTS"):
        monkeypatch.delenv(f"MINIMIND_{name}", raising=False)


def test_the_command_line_wins_over_environment_over_file(tmp_path, monkeypatch):
    (tmp_path / "minimind.toml").write_text("port = 1001\ntracking_port = 1002\ncpu_slots = 3\n")
    monkeypatch.setenv("MINIMIND_PORT", "2001")
    monkeypatch.setenv("MINIMIND_TRACKING_PORT", "2002")
    settings = Settings.load(home=tmp_path, port=3001, host=None)
    assert (settings.port, settings.tracking_port, settings.cpu_slots) == (3001, 2002, 3)
    assert settings.host == "127.0.0.1"


def test_all_folders_lie_in_home(tmp_path):
    settings = Settings.load(home=tmp_path)
    for folder in (settings.data_dir, settings.out_dir, settings.artifacts_dir, settings.task_dir("x")):
        assert folder.is_relative_to(tmp_path)
    assert settings.database == f"sqlite:///{tmp_path}/mlruns/app.db"
    assert settings.tracking == "http://127.0.0.1:5000/mlflow"


def test_a_list_may_be_written_with_commas(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIMIND_DATA_ROOTS", "/a, /b,")
    assert Settings.load(home=tmp_path).data_roots == ("/a", "/b")


@pytest.mark.parametrize(
    ("text", "names"),
    [("prot = 1\n", "prot"), ('port = "x"\n', "port"), ("port = [\n", "minimind.toml")],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, text, names):
    (tmp_path / "minimind.toml").write_text(text)
    with pytest.raises(PlatformError, match=names):
        Settings.load(home=tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("port", 0, "from 1 to 65535"),
        ("tracking_port", 65_536, "from 1 to 65535"),
        ("cpu_slots", -1, "0 or more"),
        ("stop_grace_seconds", -1, "0 or more"),
        ("max_restarts", -1, "0 or more"),
        ("log_limit_mb", 0, "1 or more"),
    ],
)
def test_a_number_out_of_range_is_named_with_its_source(tmp_path, monkeypatch, name, value, wanted):
    with pytest.raises(PlatformError, match=f"{name} in command line must be {wanted}, got {value}"):
        Settings.load(home=tmp_path, **{name: value})
    monkeypatch.setenv(f"MINIMIND_{name.upper()}", str(value))
    with pytest.raises(PlatformError, match=f"{name} in environment must be {wanted}"):
        Settings.load(home=tmp_path)
    monkeypatch.delenv(f"MINIMIND_{name.upper()}")
    (tmp_path / "minimind.toml").write_text(f"{name} = {value}\n")
    with pytest.raises(PlatformError, match=f"{name} in .*minimind.toml must be {wanted}"):
        Settings.load(home=tmp_path)


def test_every_number_has_a_range():
    assert {field.name for field in fields(Settings) if field.type in (int, "int")} == set(RANGES)


def test_the_password_of_a_database_is_read_from_a_file(tmp_path):
    (tmp_path / "password").write_text("p@ss\n")
    url = "postgresql://mini@db/queue"
    settings = Settings(home=tmp_path, database_url=url, study_url="sqlite:////x.db", database_password_file="password")
    assert settings.database == "postgresql://mini:p%40ss@db/queue"
    assert (settings.studies, settings.tracking_database) == (
        "sqlite:////x.db",
        f"sqlite:///{tmp_path}/mlruns/tracking.db",
    )
    assert replace(settings, database_url="postgresql://mini:own@db/queue").database.count("own") == 1
    with pytest.raises(PlatformError, match="database_password_file cannot be read"):
        _ = replace(settings, database_password_file="none").database


def test_no_two_of_our_databases_may_be_one(tmp_path):
    with pytest.raises(PlatformError, match="three databases, not one twice"):
        Settings.load(home=tmp_path, database_url="postgresql://db/a", study_url="postgresql://db/a")


@pytest.mark.parametrize(("told", "meant"), [("true", True), ("1", True), ("no", False), ("", False)])
def test_a_yes_or_no_is_read(tmp_path, monkeypatch, told, meant):
    monkeypatch.setenv("MINIMIND_IN_CONTAINER", told)
    assert Settings.load(home=tmp_path).in_container is meant


def test_anything_else_than_yes_or_no_is_refused(tmp_path):
    (tmp_path / "minimind.toml").write_text('in_container = "maybe"\n')
    with pytest.raises(PlatformError, match="must be true or false, got 'maybe'"):
        Settings.load(home=tmp_path)
