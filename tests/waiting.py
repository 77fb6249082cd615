"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from typing import Any

import psutil


def until(ask: Callable[[], Any], seconds: float = 20.0, what: str = "what was waited for") -> Any:
    """Ask again and again until the answer is true, and give it back."""
    give_up = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < give_up, f"{what} did not come within {seconds} s"
        time.sleep(0.02)
    return answer


def gone(pid: int) -> bool:
    """Whether a process has ended, even if nobody has asked for its exit code yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
