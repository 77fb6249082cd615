"""This machine: what it does now and did in the last ten minutes, who uses it, and what a person should look at.

    platform.machine.now()          # while somebody looks
    platform.machine.warnings()     # for every page; costs next to nothing

Nothing is measured while nobody asks. Whoever asks is answered with what was measured last, and a thread measures every
two seconds until nobody has asked for ten; the last ten minutes are kept in the memory of this process.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psutil

from minimind_platform import devices
from minimind_platform.errors import PlatformError, TrainerError
from minimind_platform.machine.disks import disks, is_low, usage
from minimind_platform.machine.gpus import IDLE_SECONDS, GpuWatch
from minimind_platform.machine.shares import Shares
from minimind_platform.machine.views import Disk, DiskUse, History, Machine, Notice, Queued, Slot
from minimind_platform.settings import Settings
from minimind_platform.tasks import State, Task
from trainer.configs import parse_config
from trainer.names import TaskFile
from trainer.sizes import checkpoint_bytes, parameters, sizes_of_config

if TYPE_CHECKING:
    from minimind_platform.service import Platform
    from minimind_platform.store import Store

log = logging.getLogger(__name__)

EVERY_SECONDS = 2.0
SHORTEST_SPAN = 0.2
LOOKED_SECONDS = 10.0
"""How long after the last question it goes on measuring."""
KEPT_SECONDS = 600.0
FIRST_SECONDS = 3.0
"""How long the first one who asks waits at most."""
WARNED_SECONDS = 30.0
DISK_SECONDS = 120.0
FREE_SECONDS = 60.0
"""A GPU may be free while tasks wait for so long before that is odd."""
MOST_QUEUED = 20


@dataclass(frozen=True)
class _Sample:
    t: float
    cpu: float
    memory: float
    gpus: dict[str, tuple[float | None, float | None]]
    """Use and memory in percent, by slot."""


class MachineWatch:
    """Watches this machine while somebody looks. Safe to use from many threads."""

    def __init__(self, platform: "Platform", store: "Store", settings: Settings) -> None:
        self._platform = platform
        self._store = store
        self._settings = settings
        self._gpus = GpuWatch()
        self._shares = Shares(settings)
        self._measuring = threading.Lock()  # one thread at a time measures
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._samples: deque[_Sample] = deque()
        self._last: Machine | None = None
        self._asked_at = 0.0
        self._thread: threading.Thread | None = None
        self._warned: tuple[float, list[Notice]] = (float("-inf"), [])
        self._disk_use: DiskUse | None = None
        self._disk_thread: threading.Thread | None = None
        self._free_since: dict[str, float] = {}
        self._free_looked_at = float("-inf")

    def now(self, since: float = 0.0) -> Machine:
        """All that is known, at most two seconds old.

        Args:
            since: the history comes from after this time only.
        """
        with self._lock:
            self._asked_at = time.monotonic()
            if self._thread is None:
                self._ready.clear()
                self._thread = threading.Thread(target=self._watch, name="machine", daemon=True)
                self._thread.start()
        self._ready.wait(FIRST_SECONDS)
        last = self._last or self._measure()
        return replace(last, history=self._history(since))

    def warnings(self) -> list[Notice]:
        """What a person should look at, at most half a minute old. A thread works it out, so at first it is []."""
        if time.monotonic() - self._warned[0] > WARNED_SECONDS and not self._measuring.locked():
            threading.Thread(target=self._measure_warnings, name="machine-warnings", daemon=True).start()
        return self._warned[1]

    # measuring

    def _watch(self) -> None:
        psutil.cpu_percent()
        time.sleep(SHORTEST_SPAN)  # over less the processor's use says nothing
        while True:
            try:
                self._measure()
            except Exception as error:  # such as a database that does not answer now; the next one may be answered
                log.warning("This machine was not measured: %s", error)
            self._ready.set()
            time.sleep(EVERY_SECONDS)
            with self._lock:
                if time.monotonic() - self._asked_at > LOOKED_SECONDS:
                    self._thread = None
                    return

    def _measure_warnings(self) -> None:
        with self._measuring:
            self._gpus.ask(WARNED_SECONDS)
            self._warn()

    def _measure(self) -> Machine:
        with self._measuring:
            self._gpus.ask()
            active = self._store.active()
            memory = psutil.virtual_memory()
            cpu = psutil.cpu_percent()
            slots, waiting = self._slots(active), self._store.waiting()
            alive = (self._platform.tracking_alive(), self._platform.scheduler_alive())
            tasks = [self._shares.task(task, self._gpus.by_process) for task in active]
            processes = self._shares.platform(*alive)
            self._shares.settle()
            self._measure_disk()
            last = Machine(
                t=time.time(),
                cpu=cpu,
                cores=psutil.cpu_count() or 1,
                load=psutil.getloadavg()[0],
                memory=memory.total - memory.available,
                memory_total=memory.total,
                gpus=self._gpus.gpus,
                gpu_trouble=self._gpus.trouble,
                disks=disks(self._settings),
                disk_use=self._disk_use,
                slots=slots,
                queue=[Queued(one.id, one.name, one.waits_for) for one in waiting[:MOST_QUEUED]],
                queued=len(waiting),
                tasks=tasks,
                processes=processes,
                warnings=self._warn(),
                history=History([], [], [], {}, {}),
            )
            self._keep(last)
            self._last = last
            return last

    def _keep(self, last: Machine) -> None:
        gpus = {g.slot: (g.use, _percent(g.memory, g.memory_total)) for g in last.gpus}
        self._samples.append(_Sample(last.t, last.cpu, 100 * last.memory / last.memory_total, gpus))
        while self._samples[0].t < last.t - KEPT_SECONDS:
            self._samples.popleft()

    def _history(self, since: float) -> History:
        kept = [sample for sample in list(self._samples) if sample.t > since]
        slots = sorted({slot for sample in kept for slot in sample.gpus})
        pairs = {slot: [sample.gpus.get(slot, (None, None)) for sample in kept] for slot in slots}
        return History(
            times=[sample.t for sample in kept],
            cpu=[sample.cpu for sample in kept],
            memory=[round(sample.memory, 1) for sample in kept],
            gpus={slot: [use for use, _ in pairs[slot]] for slot in slots},
            gpu_memory={slot: [memory for _, memory in pairs[slot]] for slot in slots},
        )

    def _slots(self, active: list[Task]) -> list[Slot]:
        names, leases = {task.id: task.name for task in active}, self._store.leases()
        all_slots = [slot for kind in devices.slots(self._settings.cpu_slots).values() for slot in kind]
        held = ((slot, leases.get(slot, "")) for slot in all_slots)
        return [Slot(slot, task_id, names.get(task_id, task_id[:8])) for slot, task_id in held]

    def _measure_disk(self) -> None:
        """In a thread of its own: a home can have millions of files."""
        fresh = self._disk_use and time.time() - self._disk_use.measured_at < DISK_SECONDS
        if fresh or (self._disk_thread and self._disk_thread.is_alive()):
            return

        def measure() -> None:
            self._disk_use = usage(self._settings, self._platform.trash.task_ids())

        self._disk_thread = threading.Thread(target=measure, name="machine-disk", daemon=True)
        self._disk_thread.start()

    # warnings

    def _warn(self) -> list[Notice]:
        found = disk_warnings(disks(self._settings), self._next_checkpoints)
        found += self._idle_gpus() + self._free_gpus()
        self._warned = (time.monotonic(), found)
        return found

    def _next_checkpoints(self) -> int:
        """What the next checkpoint of every running task takes."""
        return sum(self._next_checkpoint(task) for task in self._store.active())

    def _next_checkpoint(self, task: Task) -> int:
        folder = self._settings.task_dir(task.id) / TaskFile.CHECKPOINTS
        newest = max(folder.glob("step_*"), default=None, key=lambda path: path.name) if folder.is_dir() else None
        if newest:
            return sum(path.stat().st_size for path in newest.rglob("*") if path.is_file())
        try:
            return checkpoint_bytes(parameters(sizes_of_config(parse_config(task.type, task.config))))
        except (PlatformError, TrainerError, ValueError):  # a base whose size only its files tell
            return 0

    def _idle_gpus(self) -> list[Notice]:
        names = {task.id: task.name for task in self._store.active() if task.state is State.RUNNING}
        leases = self._store.leases()
        return [
            Notice("idle_gpu", gpu.slot, {"task": names[leases[gpu.slot]], "minutes": round(idle / 60)})
            for gpu in self._gpus.gpus
            if (idle := self._gpus.idle_seconds(gpu.slot)) >= IDLE_SECONDS and leases.get(gpu.slot) in names
        ]

    def _free_gpus(self) -> list[Notice]:
        """GPUs that nobody has while tasks that could use them wait."""
        now, leases = time.monotonic(), self._store.leases()
        wanting = [one for one in self._store.waiting() if one.not_before <= time.time() and one.wants != "cpu"]
        free = {gpu.slot for gpu in self._gpus.gpus if wanting and gpu.slot not in leases}
        watched = now - self._free_looked_at <= 3 * WARNED_SECONDS
        self._free_since = {slot: self._free_since.get(slot, now) if watched else now for slot in free}
        self._free_looked_at = now
        long = sorted(slot for slot, since in self._free_since.items() if now - since >= FREE_SECONDS)
        return [Notice("free_gpu", ", ".join(long), {"waiting": len(wanting)})] if long else []


def disk_warnings(found: list[Disk], needed: Callable[[], int]) -> list[Notice]:
    """Disks that are nearly full, or too full for what the running tasks will write next."""
    warned = []
    for disk in found:
        subject = ", ".join(disk.folders)
        if is_low(disk):
            warned.append(Notice("low_disk", subject, {"free": disk.free, "total": disk.total}))
        if "out" in disk.folders and disk.free < (wanted := needed()):
            warned.append(Notice("checkpoint", subject, {"free": disk.free, "needed": wanted}))
    return warned


def _percent(part: int | None, whole: int | None) -> float | None:
    return round(100 * part / whole, 1) if part is not None and whole else None
