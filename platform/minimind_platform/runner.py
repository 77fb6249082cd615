"""Starts one training and stays beside it until its last process is gone.

    python -S -E runner.py ATTEMPT_DIR GRACE_SECONDS LOG_FILE LOG_LIMIT_MB -- COMMAND...

Nothing but the standard library and a single thread: it must outlive servers, cost little and never fail by itself.
The order of its steps is what makes it safe. It takes `lock` before anything else and holds it to the end, so a held
lock means alive, whatever kills it. It becomes the reaper of all descendants before there are any. It starts the
command, which gets SIGTERM if the runner dies. It writes `proc.json` (who runs), waits, and writes `exit.json` (how it
ended) when no process is left. SIGTERM is passed on once; after the grace everything left is killed. On systems other
than Linux it does without the reaper and kills the command's process group only.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

COOKIE = "MINIMIND_ATTEMPT"
"""In the environment of everything that an attempt starts, so that strays can be found."""
FAULT_CODE = "MINIMIND_FAULT_CODE"
REFUSED = 3
LOCK_WAIT_SECONDS = 2.0
LOG_HEAD = 1 << 20
LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Runner:
    """One attempt of one task."""

    def __init__(self, attempt_dir: Path, grace: float, log_file: Path, log_limit: int, command: list[str]) -> None:
        self.dir = attempt_dir
        self.grace = grace
        self.log_file = log_file
        self.log_limit = log_limit
        self.command = command
        self.stop_at: float | None = None
        self.status: int | None = None
        self.libc = ctypes.CDLL(None) if LINUX else None

    def run(self) -> int:
        reach("runner.before_lock")
        if not self.take_lock():
            print(f"{self.dir} is run by another process or has ended already.", file=sys.stderr)
            return REFUSED
        if self.libc:
            self.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.listen()
        (self.dir.parent / "result.json").unlink(missing_ok=True)  # how an earlier attempt ended
        self.log = os.open(self.log_file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        reach("runner.before_start")
        self.pid = self.start()
        reach("runner.before_proc")
        me = os.getpid()
        ids = {"runner": me, "runner_ticks": ticks(me), "pid": self.pid, "ticks": ticks(self.pid)}
        write(self.dir / "proc.json", {"boot_id": boot_id(), **ids})
        ending = self.attend()
        reach("runner.before_exit")
        write(self.dir / "exit.json", ending)
        reach("runner.after_exit")
        return 0

    def take_lock(self) -> bool:
        """Hold the lock for good. Waits a little, because whoever looks whether it is held holds it for a moment."""
        self.lock = os.open(self.dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_up = time.monotonic() + LOCK_WAIT_SECONDS
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return not (self.dir / "exit.json").exists()
            except BlockingIOError:
                if time.monotonic() > give_up or (self.dir / "proc.json").exists():
                    return False
                time.sleep(0.02)

    def listen(self) -> None:
        """Have signals wake the loop; handlers only take notes."""
        self.wakeup, write_end = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def on_stop(self, *_: Any) -> None:
        if self.stop_at is None:
            self.stop_at = time.monotonic()

    def start(self) -> int:
        parent = os.getpid()
        signals = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # one that comes before exec must reach the command
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            return pid
        try:
            for number in signals:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            os.setsid()
            if self.libc:
                self.libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
                if os.getppid() != parent:  # the runner died before the line above
                    os._exit(127)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(self.log, 1)
            os.dup2(self.log, 2)
            os.execvpe(self.command[0], self.command, {**os.environ, COOKIE: str(self.dir)})
        except OSError as error:
            os.write(2, f"{self.command[0]} cannot be started: {error.strerror}\n".encode())
        finally:
            os._exit(127)

    def attend(self) -> dict[str, Any]:
        """Wait for the end of the command and of everything that it started."""
        forwarded = killed = False
        strays: set[int] = set()
        while True:
            self.reap()
            if self.status is not None:
                left = self.descendants()
                if not left:
                    return self.ending(killed, len(strays))
                strays |= set(left)
                kill(left, signal.SIGKILL)
            elif self.stop_at is not None:
                if not forwarded:
                    kill([self.pid], signal.SIGTERM)
                    forwarded = True
                if time.monotonic() - self.stop_at >= self.grace:
                    kill(self.descendants() or [self.pid], signal.SIGKILL)
                    killed = True
            self.keep_log_small()
            self.wait()

    def wait(self) -> None:
        """Sleep until a signal comes or something is due."""
        timeout = 1.0
        if self.status is not None:
            timeout = 0.02
        elif self.stop_at is not None:
            timeout = min(1.0, max(0.05, self.stop_at + self.grace - time.monotonic()))
        if select.select([self.wakeup], [], [], timeout)[0]:
            os.read(self.wakeup, 4096)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status

    def descendants(self) -> list[int]:
        """Processes that came from the command, whatever session they are in."""
        if not LINUX:
            return [-self.pid] if group_alive(self.pid) else []
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        stats = {pid: stat for pid in pids if (stat := stat_of(pid))}
        children: dict[int, list[int]] = {}
        for pid, (_, parent, *_) in stats.items():
            children.setdefault(int(parent), []).append(pid)
        found, ahead = [], [os.getpid()]
        while ahead:
            ahead = [child for pid in ahead for child in children.get(pid, ())]
            found += ahead
        return [pid for pid in found if stats[pid][0] != "Z"]

    def ending(self, killed: bool, leftovers: int) -> dict[str, Any]:
        status = self.status or 0
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        rc = 128 + number if number else os.WEXITSTATUS(status)
        stopped = self.stop_at is not None
        how = {"rc": rc, "signal": number, "stopped": stopped, "killed": killed, "leftovers": leftovers}
        return how | {"t": int(time.time() * 1000)}

    def keep_log_small(self) -> None:
        """Cut the log in the middle when it has grown beyond its limit.

        The command goes on writing meanwhile. That is safe, because it appends: its lines land after what is there at
        that moment. What it writes between the last read and the truncation, microseconds later, is lost; what it
        writes before the newest part is back stands ahead of that part.
        """
        size = os.fstat(self.log).st_size
        if size <= self.log_limit:
            return
        kept = self.dir / "log.part"
        try:
            self.cut_log(size, kept)
        except OSError as error:  # a full disk: the log goes on growing, the training matters more
            print(f"{self.log_file} cannot be cut: {error.strerror}", file=sys.stderr)
        finally:
            kept.unlink(missing_ok=True)

    def cut_log(self, size: int, kept: Path) -> None:
        head = min(LOG_HEAD, self.log_limit // 4)
        position = begin = size - (self.log_limit - head) // 2
        marker = f"\n[... {(begin - head) >> 10} KB of this log were cut out here ...]\n"
        with kept.open("w+b") as part:
            while block := os.pread(self.log, 1 << 20, position):
                part.write(block)
                position += len(block)
            os.ftruncate(self.log, head)
            os.write(self.log, marker.encode())
            part.seek(0)
            while block := part.read(1 << 24):
                os.write(self.log, block)


def reach(point: str) -> None:
    """A point at which tests have this process fail: see `trainer/fault_points.py`, which is loaded as a file here."""
    if code := os.environ.get(FAULT_CODE):
        import runpy

        runpy.run_path(code)["reach"](point)


def kill(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def stat_of(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def ticks(pid: int) -> int:
    """Start time of a process, which tells it from a later one with the same number."""
    stat = stat_of(pid)
    return int(stat[19]) if stat else 0


def boot_id() -> str:
    """Changes with every start of the machine; "" where it is not known."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a file so that it is either not there or complete."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def main(arguments: list[str]) -> int:
    attempt_dir, grace, log_file, limit, separator, *command = arguments
    if separator != "--" or not command:
        print("usage: runner.py ATTEMPT_DIR GRACE_SECONDS LOG_FILE LOG_LIMIT_MB -- COMMAND...", file=sys.stderr)
        return 2
    limit_bytes = int(float(limit) * (1 << 20))
    return Runner(Path(attempt_dir).absolute(), float(grace), Path(log_file).absolute(), limit_bytes, command).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
