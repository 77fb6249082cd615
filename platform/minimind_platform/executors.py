"""What an executor must do: start attempts of tasks somewhere, say how they are, stop them.

    executor.submit(spec)
    executor.poll([spec.token])[spec.token]      # Seen.RUNNING

The scheduler keeps the queue and the slots; an executor only runs what it is given. Every call may be repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from minimind_platform.tasks import Task
from trainer.names import Outcome


class Seen(StrEnum):
    """How an attempt looks from outside."""

    PENDING = "PENDING"
    """Submitted at most; its runner has not reported yet."""
    RUNNING = "RUNNING"
    """Its runner is alive."""
    LEFTOVER = "LEFTOVER"
    """Its runner is gone, but processes of it are left."""
    ENDED = "ENDED"
    """Gone, and its runner has written how it ended."""
    GONE = "GONE"
    """Gone without a word."""
    UNREACHABLE = "UNREACHABLE"
    """Cannot be seen now. Never to be taken for dead."""


@dataclass(frozen=True)
class LaunchSpec:
    """One attempt of one task, with everything that is needed to start it."""

    task_id: str
    attempt: int
    type: str
    config: dict[str, Any]
    task_dir: Path
    device: str
    """Slots that the task holds, such as `cuda:0,1`."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Settings that this attempt has instead of those in `config`."""

    @classmethod
    def of(cls, task: Task, task_dir: Path) -> "LaunchSpec":
        return cls(task.id, task.attempt, task.type, task.config, task_dir, task.device, task.overrides)

    @property
    def token(self) -> str:
        """Names the attempt; submitting the same token twice starts it once."""
        return token_of(self.task_id, self.attempt)


@dataclass(frozen=True)
class Ending:
    """What is known about an attempt that is over."""

    outcome: Outcome | None = None
    """What the trainer itself said; None if it could not."""
    error: str = ""
    error_class: str = ""
    hint: str = ""
    rc: int | None = None
    """Exit code as a shell gives it; None if nobody saw the end."""
    signal: int | None = None
    killed: bool = False
    """Killed because it took longer to stop than the grace."""
    last_words: str = ""
    """From its log: the exception of a Python program that crashed, else the last line."""
    rebooted: bool = False
    """The machine was started again since."""


class Executor(Protocol):
    """Runs attempts. All times and counts are its own; nothing here raises because an attempt failed."""

    def check(self) -> None:
        """Make sure that attempts can be started.

        Raises:
            PlatformError: they cannot; says why.
        """
        ...

    def slots(self) -> dict[str, list[str]]:
        """All slots by kind of device."""
        ...

    def submit(self, spec: LaunchSpec) -> None:
        """Start an attempt, unless it was started before."""
        ...

    def poll(self, tokens: Sequence[str]) -> dict[str, Seen]:
        """How these attempts are."""
        ...

    def stop(self, token: str) -> None:
        """Ask an attempt to save and end; after the grace it is killed."""
        ...

    def cancel(self, token: str) -> bool:
        """Make sure that an attempt which has not reported yet never starts. False: it has started after all."""
        ...

    def sweep(self, token: str) -> None:
        """Kill what is left of an attempt whose runner is gone."""
        ...

    def ending(self, token: str) -> Ending:
        """How an attempt ended that is ENDED or GONE."""
        ...


def token_of(task_id: str, attempt: int) -> str:
    return f"{task_id}/{attempt}"
