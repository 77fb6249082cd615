"""Points at which tests have a process fail: where they are, what they cost when nobody wants them, what they do."""

import ast
import errno
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from trainer import fault_points
from trainer.checkpoints import Checkpoints, verify

ROOT = Path(__file__).resolve().parents[2]
REACH = """
import sys
from trainer.fault_points import reach
for _ in range(int(sys.argv[1])):
    reach("spool.before_record")
"""
SAVE_AGAIN = """
import sys
from pathlib import Path
from trainer.checkpoints import Checkpoints
Checkpoints(Path(sys.argv[1]), 3).save(7, lambda folder: (folder / "weights").write_text("new"), {})
"""


def run(folder, passes):
    environment = {**fault_points.environment(folder), "PATH": "/usr/bin"}
    return subprocess.Popen([sys.executable, "-c", REACH, str(passes)], cwd=ROOT, env=environment)


def test_every_point_stands_in_the_code_once_and_has_a_meaning():
    found = []
    for package in ("trainer", "platform/minimind_platform"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and ast.unparse(node.func) == "reach"
                    and isinstance(node.args[0], ast.Constant)
                ):
                    found.append(node.args[0].value)
    assert sorted(found) == sorted(fault_points.POINTS)


def test_every_point_stands_in_the_documentation():
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.+) \|$", text, re.MULTILINE))
    assert rows == fault_points.POINTS


def test_without_the_variable_nothing_is_read(monkeypatch):
    monkeypatch.setattr(fault_points, "_pass", lambda *_: pytest.fail("somebody looked"))
    assert fault_points.FOLDER not in __import__("os").environ
    for point in fault_points.POINTS:
        fault_points.reach(point)


def test_the_third_pass_of_all_processes_is_killed_and_no_later_one(tmp_path):
    fault_points.arm(tmp_path, "spool.before_record", "kill", at=3)
    assert [run(tmp_path, 2).wait(), run(tmp_path, 2).wait(), run(tmp_path, 5).wait()] == [0, -9, 0]
    assert [(one["point"], one["action"]) for one in fault_points.fired(tmp_path)] == [("spool.before_record", "kill")]


def test_what_stands_still_goes_on_when_it_is_told_to(tmp_path):
    fault_points.arm(tmp_path, "spool.before_record", "stop")
    process = run(tmp_path, 1)
    give_up = time.monotonic() + 20
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    psutil.Process(process.pid).resume()
    assert process.wait(20) == 0


def test_a_disk_can_be_full_at_a_point(tmp_path, monkeypatch):
    monkeypatch.setattr(fault_points, "_folder", str(tmp_path))
    fault_points.arm(tmp_path, "saver.before_rename", "full")
    with pytest.raises(OSError) as told:
        fault_points.reach("saver.before_rename")
    assert told.value.errno == errno.ENOSPC
    fault_points.reach("saver.before_rename")


def test_nothing_can_be_planned_that_there_is_not(tmp_path):
    for point, action in (("saver.nowhere", "kill"), ("saver.before_rename", "burn")):
        with pytest.raises(ValueError, match="There is no"):
            fault_points.arm(tmp_path, point, action)


@pytest.mark.fault("kill during a checkpoint")
@pytest.mark.parametrize("point", [point for point in fault_points.POINTS if point.startswith("saver.")])
def test_a_kill_while_a_checkpoint_is_written_over_one_of_the_same_step_leaves_one(tmp_path, point):
    folder, faults = tmp_path / "task", tmp_path / "faults"
    faults.mkdir()
    Checkpoints(folder, 3).save(7, lambda path: (path / "weights").write_text("old"), {})
    fault_points.arm(faults, point, "kill")
    environment = {**fault_points.environment(faults), "PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", SAVE_AGAIN, str(folder)], cwd=ROOT, env=environment)
    assert done.returncode == (0 if point == "saver.half_removed" else -9)
    found = Checkpoints(folder, 3).newest_good()
    assert found is not None and found.step == 7 and verify(found.path) == ""
    assert (found.path / "weights").read_text() == (
        "new" if point in ("saver.after_rename", "saver.half_removed") else "old"
    )
