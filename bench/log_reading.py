"""How long parts of a log of 100 MB take: its tail, earlier lines, a moment, and a search through all of it.

python bench/log_reading.py
"""

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minimind_platform import Wanted
from minimind_platform.log_search import at_time, failed_at, find
from minimind_platform.logs import read_before, read_log

BYTES = 100 << 20
BEGIN = 1_764_000_000


def write(path: Path, colours: bool) -> None:
    """Lines as the trainer writes them, ten a second, and a traceback at the end."""
    dim, bold, end = ("\x1b[2m", "\x1b[1m", "\x1b[0m") if colours else ("", "", "")
    with path.open("w") as file:
        for n in range(BYTES // (108 if colours else 92)):
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(BEGIN + n // 10))
            text = f"step={n:07d} loss={bold}2.1234{end} lr=5.0e-04 tokens/s=41,437 time_left=12 min"
            file.write(f"{dim}{stamp}{end} INFO {text}\n")
        file.write(f"{stamp} ERROR Traceback (most recent call last):\n  File x\nRuntimeError: needle\n")


def told(name: str, work: Callable[[], Any]) -> None:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - began))
    print(f"{name:34} {sorted(times)[2]:7.1f} ms")


def searched(name: str, path: Path, wanted: Wanted) -> None:
    """All requests that it takes to look through the whole file."""
    times, offset, done = [], 0, False
    while not done:
        began = time.perf_counter()
        found = find(path, wanted, offset)
        times.append(1e3 * (time.perf_counter() - began))
        offset, done = found.end, found.done
    print(f"{name:34} {sum(times):7.1f} ms in {len(times)} requests, the longest {max(times):.1f} ms")


def measured(path: Path) -> None:
    told("tail of 64 KB", lambda: read_log(path, colours=True))
    told("32 KB in the middle", lambda: read_before(path, BYTES // 2, 32768, colours=True))
    told("place of a moment", lambda: at_time(path, BEGIN + 60_000.0))
    told("line of the failure", lambda: failed_at(path, "RuntimeError: needle"))
    searched("words that stand at its end", path, Wanted("needle"))
    searched("errors", path, Wanted(level="error"))
    searched("warnings and errors", path, Wanted(level="warning"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for colours in (False, True):
            path = Path(folder) / "log.txt"
            write(path, colours)
            print(f"{path.stat().st_size / 1e6:.0f} MB, {'with' if colours else 'without'} colours")
            measured(path)
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
