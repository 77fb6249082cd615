"""This machine: what nvidia-smi says, idle GPUs, disks, what each process takes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stored import add

from minimind_platform import Platform, runner
from minimind_platform.machine import disks as disk_module
from minimind_platform.machine.disks import disks, is_low, usage
from minimind_platform.machine.gpus import MB, GpuWatch, parse_gpus, parse_processes
from minimind_platform.machine.service import disk_warnings
from minimind_platform.machine.views import Disk, GpuUse
from minimind_platform.settings import Settings
from minimind_platform.tasks import State

A, B = "GPU-b4fa99e7-e103-ee4a-06fd-e50b82ece523", "GPU-9d20b1c2-1111-2222-3333-444455556666"
RECORDED = f"""\
0, {A}, NVIDIA H100 80GB HBM3, 37, 14532, 81559, 41, 312.45, 700.00
1, {B}, NVIDIA H100 80GB HBM3, [N/A], [N/A], [N/A], 36, [Not Supported], [N/A]
"""
GB = 10**9


def gpu(slot: str, use: float | None) -> GpuUse:
    return GpuUse(slot, "", slot, use, None, None, None, None, None)


def test_what_nvidia_smi_says_is_read_and_what_it_does_not_say_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    first, second = parse_gpus(RECORDED)
    assert first == GpuUse("cuda:0", "NVIDIA H100 80GB HBM3", A, 37.0, 14532 * MB, 81559 * MB, 41.0, 312.45, 700.0)
    assert second == GpuUse("cuda:1", "NVIDIA H100 80GB HBM3", B, None, None, None, 36.0, None, None)
    assert parse_gpus("No devices were found\n") == []
    assert parse_processes("4711, 900\n4711, 100\n4712, [N/A]\n") == {4711: 1000 * MB}


def test_only_gpus_that_this_process_may_use_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [found.slot for found in parse_gpus(RECORDED)] == ["cuda:1"]


def test_a_gpu_is_idle_since_its_last_work_and_only_while_it_was_watched() -> None:
    watch = GpuWatch()
    for now, use in ((0.0, 90.0), (60.0, 1.0), (120.0, 4.9), (200.0, 0.0)):
        watch.note([gpu("cuda:0", use), gpu("cuda:1", None)], now)
    assert watch.idle_seconds("cuda:0") == 140.0
    assert watch.idle_seconds("cuda:1") == 0.0, "nobody knows what it does"
    watch.note([gpu("cuda:0", 0.0)], 500.0)
    assert watch.idle_seconds("cuda:0") == 0.0, "nobody looked for five minutes"
    watch.note([gpu("cuda:0", 50.0)], 560.0)
    assert watch.idle_seconds("cuda:0") == 0.0


@pytest.mark.parametrize(
    ("total", "free", "low"),
    [(100 * GB, 4 * GB, True), (100 * GB, 11 * GB, False), (1000 * GB, 90 * GB, True), (1000 * GB, 101 * GB, False)],
)
def test_a_disk_is_low_below_a_tenth_or_5_gb(total: int, free: int, low: bool) -> None:
    assert is_low(Disk(["home"], total, free)) is low


def test_a_disk_without_room_for_the_next_checkpoints_is_told_even_if_it_is_not_low() -> None:
    found = disk_warnings([Disk(["mlruns"], 100 * GB, 20 * GB), Disk(["out"], 100 * GB, 20 * GB)], lambda: 21 * GB)
    assert [(one.kind, one.subject, one.values) for one in found] == [
        ("checkpoint", "out", {"free": 20 * GB, "needed": 21 * GB})
    ]
    assert disk_warnings([Disk(["out"], 100 * GB, 20 * GB)], lambda: 19 * GB) == []


def test_disk_use_is_told_by_kind_and_each_file_counts_once(tmp_path: Path) -> None:
    settings, run, gone = Settings(home=tmp_path), "a" * 32, "b" * 32
    files = {
        f"out/{run}/checkpoints/step_1/model.safetensors": 8, f"out/{run}/log.txt": 4, f"out/{gone}/log.txt": 12,
        "out/.cache/tokens/x": 16, "out/full_sft_64.pth": 20, "mlruns/app.db": 24, "mlruns/app.db-wal": 4,
        "dataset/p.jsonl": 28,
    }  # fmt: skip
    for name, kilobytes in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 1024 * kilobytes)
    artifacts = tmp_path / "mlruns" / "artifacts" / "1" / run / "artifacts" / "checkpoints" / "step_1"
    artifacts.mkdir(parents=True)
    os.link(tmp_path / f"out/{run}/checkpoints/step_1/model.safetensors", artifacts / "model.safetensors")
    found = {name: size // 1024 for name, size in usage(settings, [gone]).parts.items()}
    wanted = {"checkpoints": 8, "logs": 4, "caches": 16, "weights": 20, "trash": 12, "databases": 28, "data": 28}
    assert found == wanted | {"other": 0}
    assert [disk.folders for disk in disks(settings)] == [["home", "out", "mlruns", "dataset"]]
    assert tuple(found) == disk_module.PARTS


@pytest.fixture
def running(platform: Platform):
    """A task whose runner and trainer are real processes that use no time."""
    task = add(platform._store, name="<b>runs</b>", device="cpu")
    claimed = platform._store.claim({"cpu": ["cpu:0"]}, time.time() + 1)
    assert claimed
    task = platform._store.move(claimed, State.RUNNING, "its trainer runs")
    folder = platform.settings.task_dir(task.id) / "attempt-1"
    folder.mkdir(parents=True)
    command = [sys.executable, "-S", "-E", runner.__file__, str(folder), "5", str(folder / "log.txt"), "10", "--"]
    process = subprocess.Popen([*command, sys.executable, "-c", "import time; time.sleep(60)"])
    deadline = time.monotonic() + 10
    while not (folder / "proc.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    yield platform, task
    process.terminate()
    process.wait(10)


def test_a_look_tells_who_holds_what_and_what_its_processes_take(running) -> None:
    platform, task = running
    waits = add(platform._store, name="waits")
    platform._store.set_waits({waits.id: "waits for cpu:0, held by runs"})
    found = platform.machine._measure()
    assert [(slot.name, slot.task_id, slot.task_name) for slot in found.slots] == [("cpu:0", task.id, task.name)]
    assert [(one.id, one.waits_for) for one in found.queue] == [(waits.id, "waits for cpu:0, held by runs")]
    (share,) = found.tasks
    assert share.processes == 2, "the runner and its trainer"
    assert share.memory > 5 * 10**6
    assert share.cpu is None, "it was looked at once"
    assert platform.machine._measure().tasks[0].cpu is not None
    assert {one.name: one.alive for one in found.processes} == {
        "supervisor": False, "tracking": False, "scheduler": False, "web": True,
    }  # fmt: skip


def test_the_history_comes_from_after_what_is_known_and_nothing_is_measured_while_nobody_looks(platform) -> None:
    machine = platform.machine
    assert machine._thread is None
    first = machine._measure()
    second = machine._measure()
    assert [round(t, 3) for t in machine._history(first.t).times] == [round(second.t, 3)]
    assert len(machine._history(0.0).cpu) == 2
    assert machine._history(second.t).times == []


def test_an_idle_gpu_that_a_task_holds_and_a_free_one_that_others_wait_for_are_told(running, monkeypatch) -> None:
    platform, task = running
    machine = platform.machine
    monkeypatch.setattr(platform._store, "leases", lambda: {"cuda:0": task.id})
    machine._gpus.gpus = [gpu("cuda:0", 0.0), gpu("cuda:1", 0.0)]
    for now in range(0, 361, 60):
        machine._gpus.note(machine._gpus.gpus, float(now))
    (idle,) = machine._idle_gpus()
    assert (idle.kind, idle.subject, idle.values) == ("idle_gpu", "cuda:0", {"task": task.name, "minutes": 6})
    add(platform._store, name="waits")
    assert machine._free_gpus() == [], "it has just become free"
    machine._free_since["cuda:1"] -= 61
    (free,) = machine._free_gpus()
    assert (free.kind, free.subject, free.values) == ("free_gpu", "cuda:1", {"waiting": 1})
