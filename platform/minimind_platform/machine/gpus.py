"""What the GPUs do, asked of nvidia-smi.

watch = GpuWatch()
watch.ask()             # at most every three seconds
watch.gpus, watch.by_process
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterable

from minimind_platform.devices import Gpu, visible
from minimind_platform.machine.views import GpuUse

QUERY = "index,uuid,name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw,power.limit"
PROCESS_QUERY = "pid,used_memory"
TIMEOUT_SECONDS = 5
EVERY_SECONDS = 3.0
MB = 1 << 20
IDLE_PERCENT = 5.0
IDLE_SECONDS = 300.0
WATCHED_SECONDS = 100.0
"""Longest pause between two looks after which a GPU still counts as watched in between."""


class GpuWatch:
    """Remembers the last answer, and since when each GPU does nothing. For one thread at a time."""

    def __init__(self) -> None:
        self.gpus: list[GpuUse] = []
        self.by_process: dict[int, int] = {}
        """Bytes by process number."""
        self.trouble = "none"
        self.asked_at = 0.0
        self._idle: dict[str, float] = {}

    def ask(self, at_most_every: float = EVERY_SECONDS) -> None:
        """Ask nvidia-smi, unless it was asked just now."""
        now = time.monotonic()
        if self.asked_at and now - self.asked_at < at_most_every:
            return
        table, self.trouble = _run("--query-gpu=" + QUERY)
        self.gpus = parse_gpus(table)
        if self.gpus:
            self.by_process = parse_processes(_run("--query-compute-apps=" + PROCESS_QUERY)[0])
        self.note(self.gpus, now)

    def note(self, gpus: Iterable[GpuUse], now: float) -> None:
        """Remember since when each GPU does nothing; what nobody watched in between does not count."""
        watched = now - self.asked_at <= WATCHED_SECONDS
        idle = {gpu.slot for gpu in gpus if gpu.use is not None and gpu.use < IDLE_PERCENT}
        self._idle = {slot: self._idle.get(slot, now) if watched else now for slot in idle}
        self.asked_at = now

    def idle_seconds(self, slot: str) -> float:
        """How long it has done nothing, up to the last look."""
        return self.asked_at - self._idle.get(slot, self.asked_at)


def parse_gpus(table: str) -> list[GpuUse]:
    """Read what nvidia-smi printed; `[N/A]` and the like become None. Only GPUs that this process may use."""
    rows = [[cell.strip() for cell in line.split(",")] for line in table.splitlines()]
    rows = [cells for cells in rows if len(cells) == len(QUERY.split(",")) and cells[0].isdigit()]
    allowed = {
        gpu.uuid
        for gpu in visible(
            [Gpu(int(cells[0]), cells[1], cells[2], 0, 0) for cells in rows], os.environ.get("CUDA_VISIBLE_DEVICES")
        )
    }
    return [
        GpuUse(
            slot=f"cuda:{cells[0]}",
            uuid=cells[1],
            name=cells[2],
            use=_number(cells[3]),
            memory=_megabytes(cells[4]),
            memory_total=_megabytes(cells[5]),
            temperature=_number(cells[6]),
            power=_number(cells[7]),
            power_limit=_number(cells[8]),
        )
        for cells in rows
        if cells[1] in allowed
    ]


def parse_processes(table: str) -> dict[int, int]:
    """Bytes by process number, over all GPUs."""
    found: dict[int, int] = {}
    for line in table.splitlines():
        pid, _, used = (cell.strip() for cell in line.partition(","))
        if pid.isdigit() and (size := _megabytes(used)) is not None:
            found[int(pid)] = found.get(int(pid), 0) + size
    return found


def _run(query: str) -> tuple[str, str]:
    """The answer of nvidia-smi, and what went wrong: "none" if there is no such program."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "", "none"
    command = [program, query, "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "", f"nvidia-smi did not answer within {TIMEOUT_SECONDS} s"
    except OSError as error:
        return "", str(error)
    if answer.returncode:
        lines = (answer.stdout + answer.stderr).strip().splitlines()
        return "", lines[0] if lines else f"nvidia-smi ended with {answer.returncode}"
    return answer.stdout, ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # [N/A], [Not Supported], [Unknown Error]
        return None


def _megabytes(text: str) -> int | None:
    value = _number(text)
    return None if value is None else int(value * MB)
