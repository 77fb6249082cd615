"""One server that `minimind up` keeps alive: its process, its log, and whether it answers.

server = Server("web", [sys.executable, "-m", "dash_app"], log=path, ready=lambda: ..., env={})
server.start()
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROTATE_BYTES = 10 * 2**20
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0
"""A server that ran so long has earned a quick restart again."""
PR_SET_PDEATHSIG = 1


@dataclass
class Server:
    """A child process with its log."""

    name: str
    command: list[str]
    log: Path
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    ready_after: float | None = None
    """Seconds until it answered; None until then."""
    failures: int = 0
    """Deaths in a row."""
    start_at: float = 0.0
    """When it may be started again."""

    def start(self) -> None:
        """Start the process. It ends with us, however we end."""
        _rotate(self.log)
        parent = os.getpid()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is ours to pass on
                preexec_fn=lambda: _die_with(parent),
            )
        self.started_at, self.ready_after = time.monotonic(), None

    def look(self) -> bool:
        """See whether it answers for the first time since its start; True once, when it does."""
        if self.process is None or self.ready_after is not None or not self.ready():
            return False
        self.ready_after = time.monotonic() - self.started_at
        return True

    def ended(self) -> int | None:
        """The exit code if it has ended since the last look; plans the next start."""
        if self.process is None or self.process.poll() is None:
            return None
        code = self.process.returncode
        steady = time.monotonic() - self.started_at > STEADY_SECONDS
        self.failures = 1 if steady else self.failures + 1
        self.start_at = time.monotonic() + self.pause
        self._signal_group(signal.SIGKILL)
        self.process = None
        return code

    @property
    def pause(self) -> float:
        """Seconds to wait before the next start."""
        return min(LONGEST_PAUSE, 2.0 ** max(0, self.failures - 1))

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self, deadline: float) -> None:
        """Wait for its end; kill what is left of it after the deadline."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._signal_group(signal.SIGKILL)
            self.process.wait()
        self._signal_group(signal.SIGKILL)  # MLflow's server is two processes

    def _signal_group(self, number: int) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def answers(url: str) -> bool:
    """Whether a web server says that this page of it is well."""
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=1.0)
    try:
        connection.request("GET", parts.path or "/", headers={"Connection": "close"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its parent is gone, even by SIGKILL."""
    if sys.platform != "linux":
        return
    _libc().prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:  # it was gone before the line above
        os._exit(1)


def _libc() -> Any:
    return ctypes.CDLL(None)


def _rotate(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > ROTATE_BYTES:
        log.replace(log.with_suffix(".log.1"))
