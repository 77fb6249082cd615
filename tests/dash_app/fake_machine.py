"""The machine of the platform in memory: two GPUs, one of which is idle, and a disk that is nearly full."""

import math
import time
from typing import TYPE_CHECKING

from minimind_platform.machine.views import (
    Disk,
    DiskUse,
    GpuUse,
    History,
    Machine,
    Notice,
    PlatformProcess,
    Queued,
    Slot,
    TaskShare,
)
from minimind_platform.tasks import ACTIVE, State

if TYPE_CHECKING:
    from fake_platform import FakePlatform

GB = 10**9
PARTS = {"checkpoints": 41 * GB, "logs": 2 * GB, "caches": 5 * GB, "weights": GB, "trash": 12 * GB}
PARTS |= {"databases": GB // 2, "data": 7 * GB, "other": 0}


class FakeMachine:
    """Answers as `Platform.machine` does."""

    def __init__(self, platform: "FakePlatform") -> None:
        self._platform = platform
        self.gpus = [
            GpuUse("cuda:0", "NVIDIA H100 80GB HBM3", "GPU-a", 93.0, 61 * GB, 85 * GB, 58.0, 512.3, 700.0),
            GpuUse("cuda:1", "NVIDIA H100 80GB HBM3", "GPU-b", 0.0, 2 * GB, 85 * GB, 31.0, None, None),
        ]
        self.trouble = ""
        self.notices = [
            Notice("low_disk", "home, out", {"free": 4 * GB, "total": 500 * GB}),
            Notice("idle_gpu", "cuda:1", {"task": "<b>idle</b>", "minutes": 7}),
        ]

    def now(self, since: float = 0.0) -> Machine:
        now = time.time()
        tasks = [task for task in self._platform.all.values() if task.state in ACTIVE]
        waiting = [task for task in self._platform.all.values() if task.state is State.QUEUED]
        times = [t for t in (now - 2 * number for number in reversed(range(250))) if t > since]
        slots = [Slot(gpu.slot, task.id, task.name) for gpu, task in zip(self.gpus, tasks, strict=False)]
        return Machine(
            t=now,
            cpu=47.0,
            cores=16,
            load=7.3,
            memory=61 * GB,
            memory_total=128 * GB,
            gpus=self.gpus,
            gpu_trouble=self.trouble,
            disks=[Disk(["home", "out"], 500 * GB, 4 * GB), Disk(["mlruns", "dataset"], 2000 * GB, 900 * GB)],
            disk_use=DiskUse(PARTS, now),
            slots=[*slots, Slot("cpu:0")],
            queue=[Queued(task.id, task.name, task.waits_for) for task in waiting],
            queued=len(waiting),
            tasks=[TaskShare(t.id, t.name, t.type, t.device, 3, 180.5, 4 * GB, 61 * GB) for t in tasks],
            processes=[
                PlatformProcess("supervisor", True, 100, 0.1, GB // 20),
                PlatformProcess("tracking", self._platform.tracking, 101, 2.5, GB // 2),
                PlatformProcess("scheduler", self._platform.scheduler, 102, 0.5, GB // 10),
                PlatformProcess("web", True, 103, 1.2, GB // 5),
            ],
            warnings=self.notices,
            history=History(
                times=times,
                cpu=[50 + 30 * math.sin(t / 40) for t in times],
                memory=[48.0 for _ in times],
                gpus={gpu.slot: [gpu.use and gpu.use - 10 * abs(math.sin(t / 9)) for t in times] for gpu in self.gpus},
                gpu_memory={gpu.slot: [70.0 for _ in times] for gpu in self.gpus},
            ),
        )

    def warnings(self) -> list[Notice]:
        return self.notices
