"""What the settings of tasks and sweeps name: weights of other tasks, by path, by model version, by file.

    references = References(store)
    references.to({"3d5c…", "models:/minimind-sft/3", "/data/out/full_sft_768.pth"})

Settings never change, so each task is read once.
"""

import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from minimind_platform.trash.store import TrashStore

NAMED = re.compile(r"[0-9a-f]{32}|models:/[^\s,;]+|/[^\s,;]+\.pth")
"""Ids within paths, model versions, MiniMind files."""
OVERLAP_SECONDS = 60.0
"""A task may be added with a time that is a little older than that of one that is there already."""


class References:
    """Remembers what each task names."""

    def __init__(self, store: TrashStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._last = 0.0
        self._by_name: dict[str, set[str]] = defaultdict(set)

    def to(self, names: Iterable[str]) -> dict[str, set[str]]:
        """Ids of the tasks whose settings name these, by what they name."""
        with self._lock:
            for task_id, created_at, config in self._store.configs(self._last - OVERLAP_SECONDS):
                self._last = max(self._last, created_at)
                if task_id not in self._seen:
                    self._seen.add(task_id)
                    for name in named(config):
                        self._by_name[name].add(task_id)
            return {name: set(self._by_name[name]) for name in names if name in self._by_name}


def named(text: str) -> set[str]:
    """All that settings, as JSON, name."""
    return {name for value in _strings(json.loads(text)) for name in NAMED.findall(value)}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
