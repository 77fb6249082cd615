"""Looks again and again at what lives, who holds which slot and which checkpoints are good, while faults happen."""

import threading
from dataclasses import dataclass, field

from chaos.world import World
from minimind_platform.errors import PlatformError
from trainer.checkpoints import Checkpoints, verify

EVERY_SECONDS = 0.3


@dataclass(frozen=True)
class Sighting:
    """One look."""

    live: frozenset[tuple[str, int]] = frozenset()
    """Task and number of each attempt whose runner was alive before and after the slots were read."""
    leases: frozenset[tuple[str, str, int]] = frozenset()
    """Slot, and the task and attempt that holds it."""
    good: dict[str, int] = field(default_factory=dict)
    """Task to the step of its newest checkpoint of which every byte is right; 0 for none."""


class Watcher(threading.Thread):
    """Takes sightings until it is told to end."""

    def __init__(self, world: World) -> None:
        super().__init__(name="watcher", daemon=True)
        self.sightings: list[Sighting] = []
        self._world = world
        self._ended = threading.Event()
        self._good: dict[str, int] = {}

    def run(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            try:
                self.sightings.append(self.look())
            except PlatformError:  # the queue is locked at this moment, as it is meant to be
                continue

    def end(self) -> None:
        self._ended.set()
        self.join()

    def look(self) -> Sighting:
        live = {(one.task_id, one.number) for one in self._world.live()}
        leases = self._leases()
        still = {(one.task_id, one.number) for one in self._world.live()}
        good = {task_id: self._newest_good(task_id) for task_id, _ in live & still}
        return Sighting(frozenset(live & still), frozenset(leases), good)

    def _leases(self) -> set[tuple[str, str, int]]:
        from sqlalchemy import select

        from minimind_platform.schema import lease

        with self._world.store._read() as connection:
            return {(row.slot, row.task_id, row.attempt) for row in connection.execute(select(lease))}

    def _newest_good(self, task_id: str) -> int:
        """Looks twice, because one may be written or removed at this moment."""
        before = self._good.get(task_id, 0)
        for _ in range(2):
            found = reversed(Checkpoints(self._world.settings.task_dir(task_id), 1).all())
            newest = next((one.step for one in found if one.step <= before or not verify(one.path)), 0)
            if newest >= before:
                break
        self._good[task_id] = newest
        return newest
