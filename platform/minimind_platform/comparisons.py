"""Runs side by side: what is known of each, their curves in one answer, and how to find more of them.

comparisons = platform.comparisons
compared = comparisons.of([task.id, other_run_id])
comparisons.curves([run.facts.id for run in compared.runs], ["train/loss"])
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from minimind_platform.curves.history import RunFacts
from minimind_platform.curves.service import CurveAnswer, Curves
from minimind_platform.errors import NotFoundError, PlatformError
from minimind_platform.runs import run_page
from minimind_platform.tracking_client import TrackingClient

if TYPE_CHECKING:
    from minimind_platform.store import Store

MOST_RUNS = 20
MOST_FOUND = 20
CURVES_WAIT = 1.0
"""Seconds that a comparison waits for curves that nobody has asked for before; it asks again for the others."""
STATES = {"SCHEDULED": "QUEUED", "KILLED": "STOPPED"}
"""How people call what MLflow calls otherwise."""


@dataclass(frozen=True)
class ComparedRun:
    """A run and the metrics that it has."""

    facts: RunFacts
    keys: list[str]
    state: str
    """In the words of tasks."""
    link: str
    """Path of its charts in MLflow's pages."""


@dataclass(frozen=True)
class Compared:
    """Runs in the order in which they were named."""

    runs: list[ComparedRun]
    missing: list[str]
    """Ids that no run has."""
    link: str
    """Path to the same comparison in MLflow's pages; "" for less than two runs."""


@dataclass(frozen=True)
class FoundRun:
    """A run that can be added."""

    id: str
    name: str
    state: str
    started_at: float | None
    is_task: bool


class Comparisons:
    """Safe to use from many threads."""

    def __init__(self, store: "Store", tracking: TrackingClient, curves: Curves) -> None:
        self._store, self._tracking, self._curves = store, tracking, curves

    def of(self, ids: Sequence[str]) -> Compared:
        """What is known of runs.

        Raises:
            PlatformError: more than `MOST_RUNS`.
            TrackingUnavailableError: a run that is no task cannot be read.
        """
        found, missing = [], []
        for run_id in checked(ids):
            try:
                found.append(self.one(run_id))
            except NotFoundError:
                missing.append(run_id)
        return Compared(found, missing, compare_link([run.facts for run in found]))

    def one(self, run_id: str) -> ComparedRun:
        """What is known of a run.

        Raises:
            NotFoundError: there is no such run.
            TrackingUnavailableError: a run that is no task cannot be read.
        """
        facts, keys = self._curves.facts(run_id)
        task = self._store.get(run_id)
        return ComparedRun(facts, keys, str(task.state) if task else state_of(facts), page_link(facts))

    def curves(
        self, ids: Sequence[str], keys: Sequence[str], since: Mapping[str, Mapping[str, tuple[int, int]]] | None = None
    ) -> dict[str, CurveAnswer]:
        """Curves by run; `since` says by run what the asker has. A run that is gone is not in the answer."""
        until = time.monotonic() + CURVES_WAIT
        found = {}
        for run_id in checked(ids):
            left = max(0.0, until - time.monotonic())
            try:
                found[run_id] = self._curves.read(run_id, keys, (since or {}).get(run_id), left)
            except NotFoundError:
                continue
        return found

    def find(self, words: str) -> list[FoundRun]:
        """Tasks, then runs of others, whose names have these words; the newest first.

        Raises:
            TrackingUnavailableError: the tracking server does not answer.
        """
        from minimind_platform.listing import ListQuery  # here, because databases take a while to import

        tasks = self._store.page(ListQuery(words=words, archived=None, limit=MOST_FOUND)).tasks
        found = [FoundRun(task.id, task.name, str(task.state), task.started_at, True) for task in tasks]
        others = [run for run in self._search(words) if self._store.get(run.id) is None]
        return (found + others)[:MOST_FOUND]

    def _search(self, words: str) -> list[FoundRun]:
        answer = self._tracking.get("experiments/search", max_results=1000)
        places = [experiment["experiment_id"] for experiment in answer.get("experiments", [])]
        if not places:
            return []
        names = [f"attributes.run_name ILIKE '%{word}%'" for word in words.replace("'", " ").replace('"', " ").split()]
        asked: dict[str, Any] = {"experiment_ids": places, "max_results": MOST_FOUND, "filter": " AND ".join(names)}
        answer = self._tracking.post("runs/search", timeout=5.0, **asked)
        return [_found(run["info"]) for run in answer.get("runs", [])]


def checked(ids: Sequence[str]) -> list[str]:
    """The ids, each once.

    Raises:
        PlatformError: too many.
    """
    once = list(dict.fromkeys(ids))
    if len(once) > MOST_RUNS:
        raise PlatformError(f"At most {MOST_RUNS} runs can be compared, got {len(once)}.", "Take some out.")
    return once


def state_of(facts: RunFacts) -> str:
    """The state of a run that is no task, in the words of tasks."""
    return STATES.get(facts.status, facts.status)


def page_link(facts: RunFacts) -> str:
    """Path of a run's charts in MLflow's pages."""
    return run_page(facts.experiment_id, facts.id)


def compare_link(runs: Sequence[RunFacts]) -> str:
    """Path of MLflow's own comparison; it opens in its mode for training only with the last part."""
    if len(runs) < 2:
        return ""
    places = sorted({run.experiment_id for run in runs if run.experiment_id})
    query = f"runs={quote(json.dumps([run.id for run in runs]))}&experiments={quote(json.dumps(places))}"
    return f"/mlflow/#/compare-runs?{query}&workflowType=machine_learning"


def _found(info: dict[str, Any]) -> FoundRun:
    started = info.get("start_time")
    status = str(info.get("status", ""))
    name = info.get("run_name") or info["run_id"][:8]
    return FoundRun(info["run_id"], name, STATES.get(status, status), started / 1000 if started else None, False)
