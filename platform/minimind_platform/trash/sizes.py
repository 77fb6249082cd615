"""How much of the disk is freed when tasks are removed.

    files = measure(places(settings, task.id, task.experiment_id))
    freed([files, *others])

A checkpoint is one file with two names, in the task's folder and among the run's artifacts, and may have a third one in
the folder of a task that went on from it. It counts once, and only when all of its names go.
"""

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from minimind_platform.local_executor import read_json
from minimind_platform.settings import Settings

BLOCK = 512
"""Unit of `st_blocks`."""


@dataclass(frozen=True)
class Files:
    """The files of a task."""

    bytes: int = 0
    """Of files whose names are all here."""
    shared: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    """Files with names elsewhere: by device and number the names here, all names, and bytes."""


def measure(places: Iterable[Path]) -> Files:
    """Look at all files in these folders, or at these files. What vanishes meanwhile does not count."""
    found: dict[tuple[int, int], tuple[int, int, int]] = {}
    for status in _statuses(places):
        key = (status.st_dev, status.st_ino)
        names = found.get(key, (0, 0, 0))[0] + 1
        found[key] = (names, status.st_nlink, status.st_blocks * BLOCK)
    whole = sum(size for names, links, size in found.values() if names >= links)
    return Files(whole, {key: file for key, file in found.items() if file[0] < file[1]})


def freed(parts: Iterable[Files]) -> int:
    """Bytes that are freed when all of these go."""
    total = 0
    shared: dict[tuple[int, int], tuple[int, int, int]] = {}
    for part in parts:
        total += part.bytes
        for key, (names, links, size) in part.shared.items():
            shared[key] = (shared.get(key, (0, 0, 0))[0] + names, links, size)
    return total + sum(size for names, links, size in shared.values() if names >= links)


def places(settings: Settings, task_id: str, experiment_id: str) -> list[Path]:
    """Where a task has files on this machine: its folder, its run's artifacts, its MiniMind files."""
    return [
        settings.task_dir(task_id),
        settings.artifacts_dir / experiment_id / task_id,
        *weight_files(settings.out_dir).get(task_id, []),
    ]


def weight_files(out: Path) -> dict[str, list[Path]]:
    """By task the MiniMind files that it has written and no other has written since, with their descriptions."""
    found: dict[str, list[Path]] = {}
    for description in out.glob("*.json"):
        task_id = str((read_json(description) or {}).get("task", ""))
        weights = description.with_suffix(".pth")
        try:
            ours = weights.stat().st_mtime <= description.stat().st_mtime
        except FileNotFoundError:
            ours = False
        # Weights are written before their description: later ones are another task's, which has not come to it yet.
        if task_id and (ours or not weights.exists()):
            found.setdefault(task_id, []).extend([weights, description] if ours else [description])
    return found


def _statuses(places: Iterable[Path]) -> Iterator[os.stat_result]:
    for place in places:
        if place.is_file():
            yield place.stat()
            continue
        for folder, _, names in os.walk(place):
            for name in names:
                try:
                    yield Path(folder, name).lstat()
                except FileNotFoundError:
                    continue


class Sizes:
    """Remembers what deleted tasks take. Measures in a thread that ends when it has nothing to do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._known: dict[tuple[str, float], Files] = {}
        self._wanted: deque[tuple[str, str, float]] = deque()
        self._works = False

    def known(self, tasks: Iterable[tuple[str, str, float]]) -> dict[str, Files]:
        """What is known of these tasks, by id; the others are measured now.

        Args:
            tasks: id, experiment and time of the deletion. A task that was back in between is measured anew.
        """
        tasks = list(tasks)
        with self._lock:
            keys = {(task_id, at) for task_id, _, at in tasks}
            self._known = {key: files for key, files in self._known.items() if key in keys}
            found = {task_id: self._known[task_id, at] for task_id, _, at in tasks if (task_id, at) in self._known}
            self._wanted = deque(task for task in tasks if task[0] not in found)
            if self._wanted and not self._works:
                self._works = True
                threading.Thread(target=self._work, name="trash-sizes", daemon=True).start()
        return found

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._works = False
                    return
                task_id, experiment_id, at = self._wanted.popleft()
            files = measure(places(self._settings, task_id, experiment_id))
            with self._lock:
                self._known[task_id, at] = files
