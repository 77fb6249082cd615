"""Samples what the training's own processes and its GPU use, every ten seconds, off the path of the steps."""

import threading
from collections.abc import Callable
from types import TracebackType

import psutil
import torch

from trainer.names import Metric
from trainer.nvml import GpuMeter
from trainer.session import Session

INTERVAL_SECONDS = 10.0


class SystemSampler:
    """Runs while the `with` block does."""

    def __init__(self, session: Session, device: torch.device) -> None:
        self._session, self._device = session, device
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="system", daemon=True)

    def __enter__(self) -> "SystemSampler":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _work(self) -> None:
        ranks = self._session.ranks
        trunk = psutil.Process() if ranks.count == 1 else psutil.Process().parent() or psutil.Process()
        family = {trunk.pid: trunk}
        cuda = self._device.type == "cuda"
        ask = gpu_busy(self._device)
        _sample([trunk])
        while not self._done.wait(INTERVAL_SECONDS):
            gpu = torch.cuda.memory_reserved(self._device) / 1e6 if cuda else 0.0
            busy = ask() if ask else None
            if not ranks.first:
                ranks.post("gpu_memory", gpu)
                if busy is not None:
                    ranks.post("gpu_percent", busy)
                continue
            # the same objects each time: a process is asked for the CPU time since it was asked last
            family = {p.pid: family.get(p.pid, p) for p in [trunk, *trunk.children(recursive=True)]}
            values = _sample(list(family.values()))
            if busy is not None:
                shares = [busy, *ranks.posted("gpu_percent")]
                values[str(Metric.GPU_PERCENT)] = sum(shares) / len(shares)
            if cuda:
                values[str(Metric.GPU_MEMORY_MB)] = gpu + sum(ranks.posted("gpu_memory"))
            self._session.spool.system(self._session.step, values)


def gpu_busy(device: torch.device) -> Callable[[], float | None] | None:
    """A way to ask how busy the GPU was in the last moment, in percent; None where nobody can tell."""
    if device.type != "cuda":
        return None
    meter = GpuMeter.of(str(torch.cuda.get_device_properties(device).uuid))
    return meter.percent if meter else None


def _sample(family: list[psutil.Process]) -> dict[str, float]:
    """CPU in percent of one core and resident memory in MB, of all processes of the training."""
    return {
        str(Metric.CPU_PERCENT): sum(_cpu(p) for p in family),
        str(Metric.MEMORY_MB): sum(_memory(p) for p in family) / 1e6,
    }


def _cpu(process: psutil.Process) -> float:
    """Since it was asked last; 0 the first time."""
    try:
        return process.cpu_percent()
    except psutil.NoSuchProcess:
        return 0.0


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
