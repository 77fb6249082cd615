import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from waiting import gone, until

from minimind_platform import runner

PYTHON = [sys.executable, "-S", "-E"]
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: None); print('up', flush=True); time.sleep(60)"
)
SAVES = """
import signal, sys, time
def stop(*_):
    time.sleep(0.2)
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
time.sleep(60)
"""
STRAY = "setsid sleep 60 & echo stray $!; "


class Attempt:
    """An attempt folder and its runner."""

    def __init__(self, folder, grace=5.0, limit_mb=1.0):
        self.dir = folder / "task" / "attempt-1"
        self.dir.mkdir(parents=True)
        self.log_file = self.dir.parent / "log.txt"
        self.options = [str(self.dir), str(grace), str(self.log_file), str(limit_mb), "--"]

    def start(self, *command):
        arguments = [*PYTHON, runner.__file__, *self.options, *command]
        return subprocess.Popen(arguments, start_new_session=True, stderr=subprocess.PIPE, text=True)

    def read(self, name):
        return json.loads((self.dir / name).read_text())

    def log(self):
        return self.log_file.read_text() if self.log_file.exists() else ""

    def stray(self):
        return int(until(lambda: [line for line in self.log().splitlines() if line.startswith("stray")])[0].split()[1])


@pytest.fixture
def attempt(tmp_path):
    return Attempt(tmp_path)


def test_the_ending_is_on_record_with_its_exit_code(attempt):
    assert attempt.start("sh", "-c", "echo hello; exit 5").wait(10) == 0
    ending = attempt.read("exit.json")
    assert ending.pop("t") == pytest.approx(time.time() * 1000, abs=10_000)
    assert ending == {"rc": 5, "signal": None, "stopped": False, "killed": False, "leftovers": 0}
    assert attempt.log() == "hello\n"
    proc = attempt.read("proc.json")
    assert proc["boot_id"] == runner.boot_id() and proc.keys() == {"boot_id", "runner", "runner_ticks", "pid", "ticks"}


@pytest.mark.fault("killed by the system for memory")
def test_death_by_a_signal_is_on_record(attempt):
    attempt.start("sh", "-c", "kill -9 $$").wait(10)
    assert (attempt.read("exit.json")["rc"], attempt.read("exit.json")["signal"]) == (137, 9)


def test_a_command_that_is_not_there_says_so_in_the_log(attempt):
    attempt.start("/no/such/program").wait(10)
    assert attempt.read("exit.json")["rc"] == 127
    assert "/no/such/program cannot be started: No such file" in attempt.log()


def test_the_command_gets_the_cookie_and_no_input(attempt):
    attempt.start("sh", "-c", "echo $MINIMIND_ATTEMPT; read line || echo empty").wait(10)
    assert attempt.log() == f"{attempt.dir}\nempty\n"


def test_the_result_of_an_earlier_attempt_is_removed(attempt):
    (attempt.dir.parent / "result.json").write_text("{}")
    attempt.start("true").wait(10)
    assert not (attempt.dir.parent / "result.json").exists()


@pytest.mark.fault("SIGTERM or stop by a person")
def test_stopping_lets_the_command_save(attempt):
    process = attempt.start(sys.executable, "-c", SAVES)
    until(lambda: "up" in attempt.log())
    process.terminate()
    process.terminate()  # a second one changes nothing
    process.wait(10)
    ending = attempt.read("exit.json")
    assert (ending["rc"], ending["stopped"], ending["killed"]) == (143, True, False)
    assert "saved" in attempt.log()


@pytest.mark.fault("SIGTERM or stop by a person")
def test_beyond_the_grace_it_is_killed(tmp_path):
    attempt = Attempt(tmp_path, grace=0.3)
    process = attempt.start(sys.executable, "-c", STUBBORN)
    until(lambda: "up" in attempt.log())
    begin = time.monotonic()
    process.terminate()
    process.wait(10)
    assert 0.25 < time.monotonic() - begin < 2
    ending = attempt.read("exit.json")
    assert (ending["rc"], ending["stopped"], ending["killed"]) == (137, True, True)


@pytest.mark.skipif(not runner.LINUX, reason="needs a child subreaper")
def test_grandchildren_in_a_session_of_their_own_are_killed(attempt):
    attempt.start("sh", "-c", STRAY + "exit 0").wait(10)
    assert attempt.read("exit.json")["leftovers"] == 1
    assert gone(attempt.stray())


@pytest.mark.skipif(not runner.LINUX, reason="needs PDEATHSIG")
@pytest.mark.fault("kill -9 runner")
def test_when_the_runner_is_killed_the_command_saves_and_ends(attempt):
    attempt.start(sys.executable, "-c", SAVES)
    until(lambda: "up" in attempt.log())
    proc = attempt.read("proc.json")
    os.kill(proc["runner"], signal.SIGKILL)
    until(lambda: "saved" in attempt.log() and gone(proc["pid"]))
    assert not (attempt.dir / "exit.json").exists()


def test_a_second_runner_is_refused_while_the_first_lives_and_after(attempt):
    first = attempt.start("sleep", "60")
    until((attempt.dir / "proc.json").exists)
    second = attempt.start("sh", "-c", "echo twice")
    assert second.wait(10) == runner.REFUSED and "another process" in second.communicate()[1]
    first.terminate()
    first.wait(10)
    third = attempt.start("sh", "-c", "echo twice")
    assert third.wait(10) == runner.REFUSED
    assert attempt.log() == ""


def test_a_closed_terminal_does_not_matter(attempt):
    process = attempt.start("sh", "-c", "sleep 0.3; echo done")
    until((attempt.dir / "proc.json").exists)
    process.send_signal(signal.SIGHUP)
    process.wait(10)
    assert attempt.log() == "done\n"


def test_a_log_that_grows_too_long_is_cut_in_the_middle(tmp_path):
    attempt = Attempt(tmp_path, limit_mb=0.1)
    script = "import time\nfor n in range(20_000): print(f'line {n:05d}')\nprint('end', flush=True); time.sleep(1.5)"
    attempt.start(sys.executable, "-c", script + "\nprint('after')").wait(20)
    text = attempt.log()
    assert len(text) < 110_000
    assert text.startswith("line 00000\nline 00001\n")
    assert text.endswith("line 19999\nend\nafter\n")
    assert text.count("of this log were cut out here") == 1


def test_a_runner_that_waits_costs_almost_nothing(attempt):
    process = attempt.start("sleep", "60")
    until((attempt.dir / "proc.json").exists)
    before = sum(psutil.Process(process.pid).cpu_times()[:2])
    time.sleep(1.0)
    assert sum(psutil.Process(process.pid).cpu_times()[:2]) - before <= 0.02
    process.terminate()
    process.wait(10)
