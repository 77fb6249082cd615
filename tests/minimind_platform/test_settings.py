"""Where settings come from, and which source wins."""

import pytest

from minimind_platform.errors import PlatformError
from minimind_platform.settings import Settings


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
