"""Takes queued tasks in turn, starts them, watches them, and settles what became of them.

    dispatcher = Dispatcher(settings, store, LocalExecutor(settings))
    while True:
        dispatcher.tick()

It may be killed at any moment: everything it knows is in the database and in the task directories, trainings go on
without it, and the next one finds them as they are.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from minimind_platform.errors import ConflictError, PlatformError
from minimind_platform.executors import Ending, Executor, LaunchSpec, Seen, token_of
from minimind_platform.notices import Notices
from minimind_platform.progress import ProgressReader
from minimind_platform.remedies import remedies_of
from minimind_platform.settings import Settings
from minimind_platform.settle import Rules, Verdict, after_failure, after_loss, judge
from minimind_platform.stillness import Stillness
from minimind_platform.store import Store
from minimind_platform.tasks import Progress, State, Task
from minimind_platform.waits import explain
from trainer.fault_points import reach
from trainer.names import Rule

log = logging.getLogger(__name__)

START_SECONDS = 10.0
"""A runner that has not reported after so long is given up."""
REST_SECONDS = 5.0
EVERY_SECOND = 1.0


class Dispatcher:
    """The body of the scheduler's loop. Times are monotonic, except those that are stored."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        executor: Executor,
        *,
        pause_seconds: float = 15.0,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a dispatcher.

        Args:
            settings: of this installation.
            store: the queue.
            executor: runs the attempts.
            pause_seconds: pause before the first automatic restart.
            moved: called after each move.
        """
        self._settings = settings
        self._store = store
        self._executor = executor
        self._rules = Rules(settings.max_restarts, pause_seconds)
        self._moved = moved
        self._submitted: dict[str, float] = {}  # attempts that this process has started, and when
        self._stopping: set[str] = set()  # attempts that were told to stop
        self._leftover: dict[str, float] = {}  # attempts without a runner, and since when
        self._readers: dict[str, ProgressReader] = {}
        self._progress: dict[str, Progress] = {}
        self._resting: dict[str, float] = {}  # tasks that raised something unforeseen, and until when
        self._last_look = 0.0
        self._stillness = Stillness()
        self._notices = Notices(settings)

    def tick(self) -> bool:
        """One round.

        Returns:
            Whether anything is active.
        """
        active = self._store.active()
        seen = self._executor.poll([_token(task) for task in active])
        look_closer = time.monotonic() - self._last_look >= EVERY_SECOND
        for task in active:
            if self._resting.get(task.id, 0.0) > time.monotonic():
                continue
            with self._kept_apart(task):
                if look_closer and seen[_token(task)] is Seen.RUNNING:
                    self._record_progress(task)
                    task = self._watch(task)
                self._attend(task, seen[_token(task)])
        slots = self._executor.slots()
        while task := self._store.claim(slots, time.time()):
            self._say(task, State.QUEUED, f"its turn, on {task.device}")
            self._submit(task)
            active.append(task)
        if look_closer:
            self._last_look = time.monotonic()
            self._free_slots()
            self._explain_waits(slots)
        return bool(active)

    @contextmanager
    def _kept_apart(self, task: Task) -> Iterator[None]:
        """Trouble with one task must not keep the others waiting."""
        try:
            yield
        except ConflictError:  # a person moved it in this moment; the next round sees that
            pass
        except PlatformError:  # the database, so it is everybody's
            raise
        except Exception:
            log.exception("%s cannot be looked after; next try in %.0f s.", _label(task), REST_SECONDS)
            self._resting[task.id] = time.monotonic() + REST_SECONDS

    # one active task

    def _attend(self, task: Task, seen: Seen) -> None:
        if task.state is State.LOST:
            self._after_loss(task, self._store.events(task.id)[-1].reason)
        elif seen is Seen.PENDING:
            self._attend_pending(task)
        elif seen in (Seen.ENDED, Seen.GONE):
            self._settle(task)
        elif seen in (Seen.RUNNING, Seen.LEFTOVER):
            if task.state is State.STARTING:
                task = self._move(task, State.RUNNING, "its trainer runs")
            if seen is Seen.LEFTOVER:
                self._sweep_in_time(task)
            elif task.state is State.STOPPING and _token(task) not in self._stopping:
                self._executor.stop(_token(task))
                self._stopping.add(_token(task))

    def _attend_pending(self, task: Task) -> None:
        token = _token(task)
        if task.state is State.STARTING and token not in self._submitted:
            self._submit(task)  # the scheduler before this one may have died between claim and start
            return
        waited = time.monotonic() - self._submitted.get(token, 0.0)
        if (task.state is not State.STARTING or waited > START_SECONDS) and self._executor.cancel(token):
            self._settle(task)

    def _submit(self, task: Task) -> None:
        self._submitted[_token(task)] = time.monotonic()
        reach("scheduler.before_start")
        try:
            self._executor.submit(LaunchSpec.of(task, self._settings.task_dir(task.id)))
            reach("scheduler.after_start")
        except OSError as error:
            log.warning("%s cannot be started: %s", _label(task), error)
            if self._executor.cancel(_token(task)):
                self._apply(task, Verdict(State.FAILED, "cannot be started", {"error": f"Cannot be started: {error}."}))

    def _sweep_in_time(self, task: Task) -> None:
        """Strays got SIGTERM when their runner died; they may save for as long as a stop may take."""
        since = self._leftover.setdefault(_token(task), time.monotonic())
        if time.monotonic() - since >= self._settings.stop_grace_seconds:
            self._executor.sweep(_token(task))

    def _watch(self, task: Task) -> Task:
        """Say so when a training makes no step for long, and stop it if its settings say so."""
        action = task.config.get(f"watch_{Rule.NO_PROGRESS}", "notify")
        if task.state is not State.RUNNING or action == "off":
            return task
        step = self._readers[task.id].newest_step
        text = self._stillness.look(_token(task), step)
        if not text:
            return task
        log.warning("%s: %s.", _label(task), text)
        if action != "mark":
            about = {"name": Rule.NO_PROGRESS, "text": text, "step": step, "t": int(time.time() * 1000)}
            self._notices.tell(task, [about])
        if action == "stop":
            return self._move(task, State.STOPPING, f"stopped by the watchdog: {text}")
        return self._store.note(task, text)

    def _record_progress(self, task: Task, ended: bool = False) -> Progress:
        reader = self._readers.setdefault(task.id, ProgressReader(self._settings.task_dir(task.id)))
        progress = reader.read(to_the_end=ended)
        self._notices.tell(task, reader.notices())
        if progress != self._progress.get(task.id, task.progress):
            self._store.set_progress(task.id, progress)
        self._progress[task.id] = progress
        return progress

    # what becomes of it

    def _settle(self, task: Task) -> None:
        """The attempt is over and no process of it is left."""
        self._record_progress(task, ended=True)
        reach("scheduler.before_settle")
        verdict = judge(task.state, self._executor.ending(_token(task)), remedies_of(task))
        if task.state is State.STARTING and verdict.to is State.STOPPED:  # it ran and ended while nobody looked
            task = self._move(task, State.RUNNING, "its trainer runs")
        task = self._apply(task, verdict)
        if task.state is State.LOST:
            self._after_loss(task, verdict.reason)

    def _after_loss(self, task: Task, reason: str) -> None:
        progress = self._record_progress(task, ended=True)
        if verdict := after_failure(task, remedies_of(task)):
            self._apply(task, verdict)
            return
        said = Ending(error=task.error, error_class=task.error_class, hint=task.hint)
        rules = self._rules if task.config.get("retry_lost", True) else replace(self._rules, max_restarts=0)
        self._apply(task, after_loss(self._store.retries(task.id), progress.step, reason, rules, said))

    def _apply(self, task: Task, verdict: Verdict) -> Task:
        changes = dict(verdict.changes)
        if verdict.pause:
            changes["not_before"] = time.time() + verdict.pause
        moved = self._move(task, verdict.to, verdict.reason, **changes)
        if verdict.to is not State.LOST:
            self._forget(task)
        return moved

    def _forget(self, task: Task) -> None:
        self._submitted.pop(_token(task), None)
        self._leftover.pop(_token(task), None)
        self._stopping.discard(_token(task))
        self._stillness.forget(_token(task))
        self._readers.pop(task.id, None)
        self._progress.pop(task.id, None)
        self._resting.pop(task.id, None)

    def _move(self, task: Task, to: State, reason: str, **changes: object) -> Task:
        moved = self._store.move(task, to, reason, **changes)
        self._say(moved, task.state, reason)
        return moved

    def _say(self, task: Task, before: State, reason: str) -> None:
        log.info("%s %s -> %s: %s", _label(task), before, task.state, reason)
        self._moved()

    # the queue

    def _free_slots(self) -> None:
        """Give back slots of tasks that are not active any more, should a crash have left one."""
        active = {task.id for task in self._store.active()}
        for task_id in set(self._store.leases().values()) - active:
            self._store.release(task_id)

    def _explain_waits(self, slots: Mapping[str, Sequence[str]]) -> None:
        waiting = self._store.waiting()
        if not waiting:
            return
        names = {task.id: task.name for task in self._store.active()}
        holders = {slot: names.get(task_id, task_id) for slot, task_id in self._store.leases().items()}
        sentences = explain(waiting, slots, holders, time.time())
        self._store.set_waits({w.id: sentences[w.id] for w in waiting if sentences[w.id] != w.waits_for})


def _token(task: Task) -> str:
    return token_of(task.id, task.attempt)


def _label(task: Task) -> str:
    return f"{task.name} ({task.id[:8]})"
