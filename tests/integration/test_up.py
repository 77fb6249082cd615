"""`minimind up`: what it starts, what it refuses, and that nothing is left of it."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from minimind_platform import Platform, Settings


def children(process):
    return psutil.Process(process.pid).children(recursive=True)


def servers(processes):
    words = ("mlflow", "minimind_platform.scheduler", "dash_app", "uvicorn")
    alive = [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    return [p for p in alive if any(word in " ".join(p.cmdline()) for word in words)]


def open_ports(process):
    with suppress(psutil.NoSuchProcess):
        return [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    return []


def read_until(process, text):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"{text!r} was not printed:\n{''.join(lines)}")


@pytest.fixture
def no_demo(tmp_path):
    """A home that has been used before, so that no demo is submitted."""
    Platform(Settings(home=tmp_path))
    (tmp_path / "dataset" / "samples").mkdir(parents=True)
    return tmp_path


@pytest.mark.fault("tracking server or engine reached directly", "address open to others")
def test_it_starts_all_servers_and_leaves_none_behind(no_demo, up, healthy, wait_until):
    process = up()
    told = read_until(process, "trainings go on")
    ports = up.ports
    assert f"http://127.0.0.1:{ports['port']}" in told
    assert healthy(f"http://127.0.0.1:{ports['port']}/healthz")
    assert healthy(f"http://127.0.0.1:{ports['tracking_port']}/mlflow/health")
    family = children(process)
    assert len(servers(family)) >= 3
    listening = {c.laddr for p in [psutil.Process(process.pid), *family] for c in open_ports(p)}
    assert {address.port for address in listening} >= set(ports.values())
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}

    again = up(port=ports["port"])
    out, _ = again.communicate(timeout=30)
    assert again.returncode == 1
    assert str(process.pid) in out
    assert f":{ports['port']}" in out

    found = subprocess.run(
        [sys.executable, "-m", "minimind_platform.cli", "--home", str(no_demo), "doctor", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    levels = {finding["what"]: finding["level"] for finding in json.loads(found.stdout)}
    assert levels["tracking server"] == levels["web app"] == levels["scheduler"] == "ok"

    victim = next(p for p in family if "dash_app" in " ".join(p.cmdline()))
    victim.kill()
    assert "web app" in read_until(process, "starts again in 1 s")
    wait_until(lambda: healthy(f"http://127.0.0.1:{ports['port']}/healthz"), 30, "the restart of the web app")

    family = children(process)
    process.send_signal(signal.SIGINT)
    assert "Stopped." in process.communicate(timeout=30)[0]
    assert process.returncode == 0
    assert servers(family) == []


@pytest.mark.usefixtures("no_demo")
def test_nothing_is_left_when_it_is_killed(up, wait_until):
    process = up()
    read_until(process, "trainings go on")
    family = children(process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not servers(family), 20, "the end of all servers")
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(("name", "flag"), [("port", "--port"), ("tracking_port", "--tracking-port")])
def test_a_busy_port_names_the_program_and_the_flag(up, name, flag):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        process = up(**{name: busy.getsockname()[1]})
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert str(os.getpid()) in out
    assert flag in out


@pytest.mark.fault("address open to others")
def test_other_machines_are_refused(up):
    process = up("--host", "0.0.0.0")
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "127.0.0.1" in out


def test_the_first_start_makes_samples_and_trains_a_demo(tmp_path, up, wait_until):
    process = up()
    assert "demo" in read_until(process, "trainings go on")
    assert (tmp_path / "dataset" / "samples" / "pretrain.jsonl").stat().st_size > 0
    platform = Platform(Settings(home=tmp_path, tracking_port=up.ports["tracking_port"]))
    [task] = platform.tasks().tasks
    wait_until(lambda: platform.task(task.id).progress.step > 0, 120, "the first step of the demo")
    process.send_signal(signal.SIGTERM)
    assert "1 training is going on" in process.communicate(timeout=30)[0]
    assert platform.task(task.id).state == "RUNNING"
    runner = json.loads(next(platform.settings.task_dir(task.id).glob("attempt-*/proc.json")).read_text())["runner"]
    os.kill(runner, signal.SIGTERM)
    wait_until(lambda: not psutil.pid_exists(runner), 120, "the end of the demo")
