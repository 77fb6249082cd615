"""Samples what the training's own processes and its GPU use, every ten seconds, off the path of the steps."""

import threading
from types import TracebackType

import psutil
import torch

from trainer.names import Metric
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
        process = psutil.Process()
        process.cpu_percent()
        while not self._done.wait(INTERVAL_SECONDS):
            self._session.spool.system(self._session.step, self._sample(process))

    def _sample(self, process: psutil.Process) -> dict[str, float]:
        """CPU in percent of one core and resident memory in MB, of this process and its children."""
        family = [process, *process.children(recursive=True)]
        values = {
            str(Metric.CPU_PERCENT): process.cpu_percent(),
            str(Metric.MEMORY_MB): sum(_memory(p) for p in family) / 1e6,
        }
        if self._device.type == "cuda":
            values[str(Metric.GPU_MEMORY_MB)] = torch.cuda.memory_reserved(self._device) / 1e6
        return values


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
