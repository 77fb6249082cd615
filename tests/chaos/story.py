"""One seed from its first submit to the verdict.

report = Story(world, seed=1, tasks=100).tell()
assert not report.violations
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos import invariants
from chaos.nemesis import Nemesis
from chaos.watcher import Watcher
from chaos.world import VALUES, World
from minimind_platform.errors import PlatformError
from minimind_platform.tasks import ENDED, State, Task
from trainer.names import ErrorClass

FROM_OUTSIDE = {ErrorClass.LOST, ErrorClass.KILLED, ErrorClass.DISK}
"""How a training may fail by what is done to it; anything else is a fault of ours."""
TWO = {"num_processes": 2, "max_steps": 60}
SEARCH = {"learning_rate": [1e-4, 5e-4, 1e-3]}


@dataclass
class Report:
    """What happened."""

    seed: int
    tasks: int = 0
    attempts: int = 0
    seconds: float = 0.0
    sightings: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    """Failures by the limit of attempts without a step, which a person resumed."""
    violations: list[str] = field(default_factory=list)


class Story:
    """One seed."""

    def __init__(
        self,
        world: World,
        seed: int,
        tasks: int,
        *,
        pairs: int,
        trials: int,
        pause: float,
        harm: float,
        patience: float,
    ) -> None:
        """Prepare it.

        Args:
            world: where it happens.
            seed: of the dice.
            tasks: how many there are, with those of two processes and the trials.
            pairs: how many of them have two processes.
            trials: how many of them are trials of a sweep.
            pause: mean seconds between two faults.
            harm: seconds after which there is no more of it, if most tasks have not ended by then.
            patience: seconds that all of it may take.
        """
        self._world, self._pairs, self._trials = world, pairs, trials
        self._plain = tasks - pairs - trials
        self._pause, self._harm = pause, harm
        self._give_up = time.monotonic() + patience
        self._nemesis = Nemesis(world, seed)
        self._watcher = Watcher(world)
        self._sent: dict[str, str] = {}  # names to ids, of what was accepted
        self._report = Report(seed)
        self._sweep_id = ""

    def tell(self) -> Report:
        began = time.monotonic()
        self._until(self._world.keep_servers, "the servers")
        calm = {"plain": self._calm("calm", {}), "two processes": self._calm("calm pair", TWO) if self._pairs else ""}
        self._watcher.start()
        sender = threading.Thread(target=self._send_all, daemon=True)
        sender.start()
        self._trouble(sender)
        self._nemesis.cease()
        self._until(lambda: self._world.keep_servers() and not sender.is_alive(), "the submits")
        self._until(self._all_done, "the end of all tasks")
        self._watcher.end()
        self._check(calm)
        self._report.seconds = time.monotonic() - began
        self._report.faults = self._nemesis.counts
        return self._report

    def _calm(self, name: str, values: dict[str, object]) -> str:
        """A training that nothing disturbs, for its losses."""
        task = self._world.platform.submit("pretrain", VALUES | values, name=name)
        self._until(lambda: self._world.platform.task(task.id).state is State.FINISHED, name)
        return task.id

    def _send_all(self) -> None:
        for number in range(self._plain + self._pairs):
            two = number < self._pairs
            name = f"{'pair' if two else 'plain'} {number}"
            values = VALUES | (TWO if two else {})
            body = {"type": "pretrain", "values": values, "name": name, "key": name, "priority": number % 3}
            while (answer := self._world.post("tasks", body)) is None:
                time.sleep(0.2)
            self._sent[name] = answer["id"]
            if number == self._pairs and self._trials:
                self._send_sweep()

    def _send_sweep(self) -> None:
        options = {"n_trials": self._trials, "parallel": 2, "pruner": "none", "sampler": "random", "seed": 1}
        while not self._sweep_id:
            try:
                sweep = self._world.platform.sweeps.create(
                    "pretrain", VALUES, SEARCH, name="search", options=options, key="search"
                )
                self._sweep_id = sweep.id
            except PlatformError:
                time.sleep(0.2)

    def _trouble(self, sender: threading.Thread) -> None:
        """Harm until most of it is done."""
        enough = 0.85 * (self._plain + self._pairs + self._trials)
        no_more = time.monotonic() + self._harm
        while time.monotonic() < no_more and (sender.is_alive() or self._ended() < enough):
            self._look_at_the_clock("the trouble")
            self._nemesis.strike()
            until = time.monotonic() + self._nemesis._dice.expovariate(1 / self._pause)
            while time.monotonic() < until:
                self._nemesis.wake()
                time.sleep(0.05)
            self._world.keep_servers()

    def _ended(self) -> int:
        try:
            return sum(task.ended for task in self._world.tasks())
        except PlatformError:  # the queue is locked at this moment
            return 0

    def _all_done(self) -> bool:
        self._nemesis.wake(everyone=True)
        self._world.keep_servers()
        done = True
        for task in self._world.tasks():
            if task.state in (State.STOPPED, State.FAILED) and not task.sweep_id:
                self._judge_failure(task)
                self._world.post(f"tasks/{task.id}/resume")
            done &= task.state is State.FINISHED or (bool(task.sweep_id) and task.ended)
            done &= not task.unsynced
        return done and (not self._sweep_id or self._world.platform.sweeps.get(self._sweep_id).ended)

    def _judge_failure(self, task: Task) -> None:
        if task.state is State.FAILED:
            self._report.given_up += 1
            if task.error_class not in FROM_OUTSIDE:
                self._report.violations.append(f"{task.name} failed by itself: {task.error_class}, {task.error}")

    def _check(self, calm: dict[str, str]) -> None:
        world, report, sightings = self._world, self._report, self._watcher.sightings
        tasks = world.tasks()
        wrong = report.violations
        wrong += invariants.one_attempt_a_task(sightings) + invariants.one_attempt_a_slot(sightings)
        wrong += invariants.no_process_left([task for task in tasks if task.ended], world.processes())
        wrong += invariants.accepted_is_kept(list(self._sent.values()), tasks, self._sent)
        wrong += [f"{slot} is held by {task_id}" for slot, task_id in world.store.leases().items()]
        curves = {about: {task_id: world.history(task_id)} for about, task_id in calm.items() if task_id}
        for task in tasks:
            folder, events = world.settings.task_dir(task.id), world.store.events(task.id)
            history = world.history(task.id)
            wrong += invariants.only_known_moves(task, events)
            wrong += invariants.ends_have_evidence(task, events, folder)
            wrong += invariants.a_good_checkpoint_stays(sightings, task, folder)
            wrong += invariants.steps_without_gap(task, folder, history)
            if not task.sweep_id:
                curves["two processes" if task.config["num_processes"] == 2 else "plain"][task.id] = history
        wrong += invariants.same_losses({about: sorted_curves(ours) for about, ours in curves.items()})
        if self._trials:
            found = [task.trial for task in tasks if task.sweep_id]
            wrong += [] if sorted(found) == list(range(self._trials)) else [f"the sweep has the trials {sorted(found)}"]
        report.tasks, report.sightings = len(tasks), len(sightings)
        report.attempts = sum(task.attempt for task in tasks)
        report.states = Counter(task.state.value for task in tasks)
        assert report.states.keys() <= {state.value for state in ENDED}

    def _until(self, ask: Callable[[], object], what: str) -> None:
        while True:
            try:
                if ask():
                    return
            except PlatformError:
                pass
            self._look_at_the_clock(what)
            time.sleep(0.2)

    def _look_at_the_clock(self, what: str) -> None:
        if time.monotonic() > self._give_up:
            left = {f"{task.name}: {task.state}, {task.error}" for task in self._world.tasks() if not task.ended}
            raise AssertionError(f"{what} did not come; left are {sorted(left)[:20]}, faults {self._nemesis.counts}")


def sorted_curves(ours: dict[str, list[tuple[int, float]]]) -> dict[str, list[tuple[int, float]]]:
    return {task_id: sorted(curve) for task_id, curve in ours.items()}
