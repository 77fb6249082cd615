"""What becomes of a task whose attempt is over.

    remedies = remedies_of(task)
    verdict = judge(task.state, executor.ending(token), remedies)
    verdict = after_failure(task, remedies) or after_loss(retries, 120, verdict.reason, Rules(max_restarts=3))

Pure decisions: nothing here reads files, clocks or the database. An attempt that was lost without its own fault is
tried again while that leads anywhere; one that failed by something that can be changed is tried again with the change.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from signal import Signals
from types import MappingProxyType
from typing import Any

from minimind_platform.executors import Ending
from minimind_platform.remedies import Remedy
from minimind_platform.rows import Retries
from minimind_platform.tasks import State, Task
from trainer.names import ErrorClass, ExitCode, Outcome

SEE_LOG = "The log of the task shows what happened before."
LONGEST_PAUSE = 600.0
FRUITLESS_LIMIT = 2
"""Attempts in a row without a new step after which a task counts as failed."""
NOT_BY_ITSELF = "Its settings do not let it start again by itself."
NOTHING = Ending()
FROM_OUTSIDE = (Signals.SIGKILL, Signals.SIGTERM, Signals.SIGHUP, Signals.SIGINT)


@dataclass(frozen=True)
class Rules:
    """When a lost task is tried again."""

    max_restarts: int = 3
    pause_seconds: float = 15.0
    """Before the first restart; each further one waits twice as long."""


@dataclass(frozen=True)
class Verdict:
    """The move to make."""

    to: State
    reason: str
    changes: dict[str, Any] = field(default_factory=dict)
    pause: float = 0.0
    """Seconds to wait before the next attempt, for a move to QUEUED."""


def judge(state: State, ending: Ending, remedies: Mapping[str, Remedy] = MappingProxyType({})) -> Verdict:
    """Decide by what the trainer said, then by how its process ended. A failure that `remedies` has is no end yet."""
    if ending.outcome is Outcome.FINISHED:
        return Verdict(State.FINISHED, "trained to its end")
    if state is State.STOPPING:
        return _stopped(ending)
    if ending.error_class == ErrorClass.KILLED:
        return Verdict(State.LOST, f"lost with one of its processes ({ending.error.rstrip('.')})")
    if ending.outcome is Outcome.FAILED:
        verdict = _failed(ending.error, ending.error_class, ending.hint)
        return replace(verdict, to=State.LOST) if ending.error_class in remedies else verdict
    if ending.outcome is Outcome.STOPPED and ending.error_class == ErrorClass.WATCHDOG:
        return Verdict(State.STOPPED, f"stopped by the watchdog: {ending.error}", {"error_class": ending.error_class})
    if ending.outcome is Outcome.STOPPED:
        return Verdict(State.LOST, "ended from outside, after saving a checkpoint")
    return _without_a_word(ending)


def after_failure(task: Task, remedies: Mapping[str, Remedy]) -> Verdict | None:
    """Queue a task again with what is changed for its next attempt; None if nothing is, so that it counts as lost."""
    remedy = remedies.get(task.error_class)
    return (
        Verdict(State.QUEUED, remedy.reason, {"overrides": remedy.overrides}) if remedy and remedy.overrides else None
    )


def after_loss(retries: Retries, step: int, reason: str, rules: Rules, said: Ending = NOTHING) -> Verdict:
    """Try a lost task again, or give it up.

    Args:
        retries: what was tried before.
        step: newest step on record.
        reason: why it was lost.
        rules: limits and pauses.
        said: the error of its trainer, if it had the time to tell one.
    """
    fruitless = 0 if step > retries.attempt_step else retries.fruitless + 1
    text, error_class = said.error or f"The training was {reason}.", said.error_class or ErrorClass.LOST
    if retries.restarts >= rules.max_restarts:
        times = f"It was started again {retries.restarts} times already." if retries.restarts else NOT_BY_ITSELF
        return _failed(text, error_class, said.hint or f"{times} Resume it when the cause is gone.")
    if fruitless >= FRUITLESS_LIMIT:
        hint = "Two attempts in a row ended before a new step was done, so a third would too. " + SEE_LOG
        return _failed(text, error_class, said.hint or hint)
    pause = min(LONGEST_PAUSE, rules.pause_seconds * 2**retries.restarts) * random.uniform(0.8, 1.2)
    changes = {"restarts": retries.restarts + 1, "fruitless": fruitless}
    return Verdict(State.QUEUED, f"to be resumed after a pause of {pause:.0f} s", changes, pause)


def _stopped(ending: Ending) -> Verdict:
    if ending.outcome is Outcome.FAILED:
        return Verdict(State.STOPPED, f"stopped; while it stopped: {ending.error}")
    if ending.killed:
        return Verdict(State.STOPPED, "stopped; killed, because saving took longer than the grace")
    saved = ending.outcome is Outcome.STOPPED
    return Verdict(State.STOPPED, "stopped after saving a checkpoint" if saved else "stopped before it could save")


def _without_a_word(ending: Ending) -> Verdict:
    if ending.rebooted:
        return Verdict(State.LOST, "lost when the machine was restarted")
    number = _signal(ending)
    if number == Signals.SIGKILL:
        return Verdict(State.LOST, "killed by the system, perhaps for lack of memory")
    if number in FROM_OUTSIDE:
        return Verdict(State.LOST, f"ended from outside ({_name(number)})")
    if number:
        return _failed(f"The trainer crashed ({_name(number)}).", ErrorClass.INTERNAL, SEE_LOG)
    if ending.rc is None:
        return Verdict(State.LOST, "lost with its process")
    error_class = ErrorClass.SETTINGS if ending.rc == ExitCode.BAD_INPUT else ErrorClass.INTERNAL
    return _failed(ending.last_words or f"The trainer ended with exit code {ending.rc}.", error_class, SEE_LOG)


def _failed(error: str, error_class: str, hint: str) -> Verdict:
    error = " ".join(error.split()) or "The training failed."
    return Verdict(State.FAILED, error, {"error": error, "error_class": str(error_class), "hint": hint})


def _signal(ending: Ending) -> int:
    """Number of the signal that ended it, also when a launcher in between passed it on as 128 + n; else 0."""
    if ending.signal:
        return ending.signal
    return ending.rc - 128 if ending.rc is not None and ending.rc > 128 else 0


def _name(number: int) -> str:
    return Signals(number).name if number in list(Signals) else f"signal {number}"
