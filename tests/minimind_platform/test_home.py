"""The home folder: its preparation, its lock, and the addresses that are allowed."""

import os
import socket
import sqlite3

import pytest

from minimind_platform.doctor import examine
from minimind_platform.errors import PlatformError
from minimind_platform.home import as_running, check_host, check_port, only_platform, prepare
from minimind_platform.settings import Settings


def test_an_empty_home_is_prepared_once(tmp_path):
    settings = Settings(home=tmp_path)
    assert prepare(settings)
    with sqlite3.connect(tmp_path / "mlruns" / "tracking.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    (tmp_path / "mlruns" / "app.db").touch()
    assert not prepare(settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "mlruns", "out"]


@pytest.mark.fault("two servers started at once")
def test_a_second_platform_is_told_where_the_first_is(tmp_path):
    settings = Settings(home=tmp_path, port=8123)
    with only_platform(settings), pytest.raises(PlatformError) as caught, only_platform(settings):
        pass
    assert str(os.getpid()) in str(caught.value)
    assert "http://127.0.0.1:8123" in str(caught.value)


def test_other_commands_find_the_ports_of_the_running_platform(tmp_path):
    plain = Settings(home=tmp_path)
    assert as_running(plain) == plain
    with only_platform(Settings(home=tmp_path, port=8123, tracking_port=5123)):
        assert (as_running(plain).port, as_running(plain).tracking_port) == (8123, 5123)
    assert as_running(plain) == plain


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_own_addresses_are_allowed(host):
    check_host(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "", "127.0.0.1.evil.com", "127.0.0.2"])
@pytest.mark.fault("address open to others")
def test_addresses_that_others_reach_are_refused(host):
    with pytest.raises(PlatformError, match="is refused"):
        check_host(host)


def test_a_busy_port_is_named_with_its_owner_and_the_flag():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        with pytest.raises(PlatformError) as caught:
            check_port("127.0.0.1", busy.getsockname()[1], "--port")
        assert str(os.getpid()) in caught.value.message
        assert "--port" in caught.value.hint
    with pytest.raises(PlatformError, match="65535"):
        check_port("127.0.0.1", 70_000, "--port")


def test_the_doctor_changes_nothing_and_names_a_way_out(tmp_path):
    findings = list(examine(Settings(home=tmp_path, port=1, tracking_port=1)))
    assert list(tmp_path.iterdir()) == []
    assert all(finding.hint for finding in findings if finding.level != "ok")
    assert {f.what for f in findings} >= {"Python", "home folder", "disk", "web app", "queue", "GPU", "tokenizer"}


def test_the_doctor_finds_a_home_that_is_not_there(tmp_path):
    levels = {f.what: f.level for f in examine(Settings(home=tmp_path / "none"))}
    assert levels["home folder"] == "fail"


def test_the_doctor_finds_a_damaged_queue(tmp_path):
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "app.db").write_bytes(b"no database at all" * 500)
    queue = next(f for f in examine(Settings(home=tmp_path)) if f.what == "queue")
    assert (queue.level, "damaged" in queue.text, "backup" in queue.hint) == ("fail", True, True)
