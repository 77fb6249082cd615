"""Sweeps and trials as REST and the pages' scripts get to see them, and which trials changed since a page asked."""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from dash_app.texts import Texts
from dash_app.views import plain

if TYPE_CHECKING:
    from minimind_platform.sweeps.views import Sweep, Trial

MOST_SWEEPS = 50
"""Whose trials are remembered; a page of a forgotten one gets all of its trials again."""


def sweep_view(sweep: "Sweep", with_spec: bool = True, t: Texts | None = None) -> dict[str, Any]:
    """A sweep. Lists and live updates go without its space and settings; with texts its reason is in their language."""
    names = (
        *("id", "name", "type", "state", "created_at", "ended_at", "ended", "reason", "counts", "done", "best"),
        *("best_values", "spent_seconds", "device_seconds", "unsynced", "deleted_at", "version"),
    )
    spec = sweep.spec
    view: dict[str, Any] = {name: plain(getattr(sweep, name)) for name in names}
    view["reason"] = t.reason(sweep.reason) if t else sweep.reason
    view |= {
        "planned": spec.n_trials,
        "parallel": spec.parallel,
        "objectives": [objective.model_dump() for objective in spec.objectives],
        "params": [param.name for param in spec.params],
    }
    if with_spec:
        more = {"options": spec.options, "values": spec.values, "search": spec.search, "function": spec.function}
        view |= plain(more)
    return view


def trial_view(trial: "Trial", whole: bool = True, t: Texts | None = None) -> dict[str, Any]:
    """A trial; live updates go without its curve."""
    names = [field.name for field in fields(trial) if whole or field.name != "intermediate"]
    view = {name: plain(getattr(trial, name)) for name in (*names, "seconds")}
    return view | ({"reason": t.reason(trial.reason)} if t else {})


class TrialChanges:
    """Tells a page which trials changed, without the page telling what it has: each change gets the next number, and
    the page names the last one that it knows. Nothing is kept on disk; after a restart all trials are new."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mark = uuid.uuid4().hex[:8]
        self._seen: OrderedDict[str, dict[int, tuple[int, Trial]]] = OrderedDict()
        self._count = 0

    def since(self, sweep_id: str, trials: "Sequence[Trial]", known: str) -> "tuple[list[Trial], str, bool]":
        """The trials that changed, the name of the newest change, and whether these are all trials of the sweep."""
        with self._lock:
            seen = self._seen.setdefault(sweep_id, {})
            self._seen.move_to_end(sweep_id)
            while len(self._seen) > MOST_SWEEPS:
                self._seen.popitem(last=False)
            for trial in trials:
                if trial.number not in seen or seen[trial.number][1] != trial:
                    self._count += 1
                    seen[trial.number] = (self._count, trial)
            mark, _, number = known.partition("-")
            last = int(number) if mark == self._mark and number.isdigit() else 0
            changed = [trial for at, trial in seen.values() if at > last]
            return sorted(changed, key=lambda trial: trial.number), f"{self._mark}-{self._count}", last == 0
