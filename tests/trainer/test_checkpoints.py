"""A checkpoint is whole or it is not there."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainer.checkpoints import MANIFEST, Checkpoints, keep_for_others, verify
from trainer.errors import DiskError

WRITER = """
import os, sys, time
from pathlib import Path
from trainer.checkpoints import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]), 2)
def write(folder):
    for part in range(20):
        (folder / f"part{part}").write_bytes(os.urandom(200_000))
print("ready", flush=True)
for step in range(1, 10_000):
    checkpoints.save(step, write, {})
    for old in checkpoints.surplus(None):
        checkpoints.remove(old)
"""


def write_parts(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(os.urandom(50_000))
    (folder / "trainer_state").mkdir()
    (folder / "trainer_state" / "optimizer.pt").write_bytes(os.urandom(90_000))


@pytest.mark.fault("kill during a checkpoint")
def test_kill_at_any_moment_leaves_a_good_checkpoint(tmp_path: Path) -> None:
    random.seed(0)
    for round_ in range(12):
        folder = tmp_path / str(round_)
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE)
        assert process.stdout and process.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 20
        while not Checkpoints(folder, 2).all() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(random.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = Checkpoints(folder, 2).newest_good()
        assert found is not None
        assert found.step >= Checkpoints(folder, 2).all()[-1].step - 1


@pytest.mark.parametrize("name", ["model.safetensors", "trainer_state/optimizer.pt"])
@pytest.mark.parametrize("damage", ["bit", "zero page", "truncated", "empty", "missing"])
@pytest.mark.fault("corrupt checkpoint")
def test_damage_is_found(tmp_path: Path, name: str, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path, 3)
    checkpoints.save(1, write_parts, {})
    checkpoints.save(2, write_parts, {})
    path = checkpoints.all()[-1].path / name
    content = bytearray(path.read_bytes())
    if damage == "bit":
        content[31_000] ^= 4
    elif damage == "zero page":
        content[8192:12_288] = bytes(4096)
    elif damage == "truncated":
        del content[-1:]
    elif damage == "empty":
        content.clear()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content)
    told: list[tuple[int, str]] = []
    found = checkpoints.newest_good(lambda checkpoint, what: told.append((checkpoint.step, what)))
    assert found is not None and found.step == 1
    assert len(told) == 1 and told[0][0] == 2 and name in told[0][1]


@pytest.mark.fault("corrupt checkpoint")
def test_a_bit_that_flips_anywhere_is_found_or_changes_nothing_that_is_read(tmp_path: Path) -> None:
    checkpoints, dice = Checkpoints(tmp_path, 1, best=2), random.Random(1)
    for step in (1, 2):
        checkpoints.save(step, write_parts, {"metric": "eval/loss", "value": 2.5})
    folder = checkpoints.all()[-1].path
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        places = range(len(content)) if path.name == MANIFEST else dice.sample(range(len(content)), 40)
        for place in places:
            damaged = bytearray(content)
            damaged[place] ^= 1 << dice.randrange(8)
            path.unlink()  # not in place: the registry's hard links are others
            path.write_bytes(damaged)
            found = checkpoints.newest_good()
            assert found is not None
            assert found.step == 1 or path.name == MANIFEST, (path.name, place)
            assert checkpoints.surplus(None) == []
        path.write_bytes(content)
    assert verify(folder) == ""


@pytest.mark.fault("corrupt checkpoint")
def test_a_folder_without_manifest_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 3)
    saved = checkpoints.save(1, write_parts, {})
    (saved.path / MANIFEST).unlink()
    assert checkpoints.all() == []
    assert checkpoints.newest_good() is None


@pytest.mark.fault("disk full at a checkpoint")
def test_a_full_disk_leaves_the_old_checkpoint_and_says_so(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 3)
    checkpoints.save(1, write_parts, {})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(DiskError, match=r"step 2 could not be written.*GB are free"):
            checkpoints.save(2, write_parts, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert [c.step for c in checkpoints.all()] == [1]
    assert verify(checkpoints.all()[0].path) == ""
    assert [p.name for p in checkpoints.folder.iterdir()] == ["step_000001"]


@pytest.mark.fault("disk full at a checkpoint")
def test_a_full_disk_is_recognised_in_safetensors_words_too(tmp_path: Path) -> None:
    from safetensors import SafetensorError

    def refuse(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    checkpoints = Checkpoints(tmp_path, 3)
    with pytest.raises(DiskError, match="No space left"):
        checkpoints.save(2, refuse, {})
    assert list(checkpoints.folder.iterdir()) == []


def test_a_copied_checkpoint_is_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 3)
    saved = checkpoints.save(1, write_parts, {})
    shutil.copytree(saved.path, saved.path.with_name("step_000001.bak"))
    assert [c.step for c in checkpoints.all()] == [1]


def test_surplus_spares_the_newest_and_the_best(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 2)
    for step in range(1, 6):
        checkpoints.save(step, write_parts, {})
    assert [c.step for c in checkpoints.surplus(2)] == [1, 3]
    assert [c.step for c in checkpoints.surplus(None)] == [1, 2, 3]
    keep_for_others(checkpoints.at(1).path)
    assert [c.step for c in checkpoints.surplus(None)] == [2, 3]
    assert verify(checkpoints.at(1).path) == ""
