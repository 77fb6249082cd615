"""Sweeps as rows of the queue's database: what people decided, where each stands, and what lists show of it.

    sweeps = SweepStore(store.engine)
    sweep = sweeps.move(sweep, SweepState.STOPPED, "stopped by a person")

The trials themselves are in Optuna's study. Many processes may use it at once, and a change that comes too late changes
nothing.
"""

import json
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from minimind_platform.database import transaction
from minimind_platform.errors import ConflictError, NotFoundError, Problem, SettingsError
from minimind_platform.schema import TRIAL, task
from minimind_platform.schema import sweep as table
from minimind_platform.sweeps.spec import SweepSpec
from minimind_platform.sweeps.views import Sweep, SweepPage, SweepState

MOVES: dict[SweepState, frozenset[SweepState]] = {
    SweepState.RUNNING: frozenset({SweepState.PAUSED, SweepState.STOPPED, SweepState.FINISHED}),
    SweepState.PAUSED: frozenset({SweepState.RUNNING, SweepState.STOPPED}),
    SweepState.STOPPED: frozenset({SweepState.RUNNING}),
    SweepState.FINISHED: frozenset({SweepState.RUNNING}),
}


@dataclass(frozen=True)
class NewSweep:
    """What is handed in. Its id is the id of the MLflow run that exists already."""

    id: str
    key: str
    """Made by the caller so that a repeated request gives one sweep; "" for none."""
    name: str
    experiment_id: str
    spec: SweepSpec


@dataclass(frozen=True)
class Summary:
    """What lists and MLflow show of the trials."""

    counts: dict[str, int] = field(default_factory=dict)
    best: tuple[int, ...] = ()
    best_values: tuple[tuple[float, ...], ...] = ()
    device_seconds: float = 0.0

    @classmethod
    def of(cls, sweep: Sweep) -> "Summary":
        return cls(sweep.counts, sweep.best, sweep.best_values, sweep.device_seconds)

    def as_json(self) -> str:
        return json.dumps({**self.__dict__, "device_seconds": round(self.device_seconds, 1)})


class SweepStore:
    """The table of sweeps."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, new: NewSweep) -> tuple[Sweep, bool]:
        """Begin a sweep. With a key that was used before, give back that sweep and False.

        Raises:
            SettingsError: the name is taken.
        """
        now = time.time()
        row = {
            "id": new.id,
            "key": new.key or None,
            "name": new.name,
            "state": SweepState.RUNNING.value,
            "spec": new.spec.model_dump_json(),
            "search": "\n".join([new.name, new.id, new.spec.type]).casefold(),
            "experiment_id": new.experiment_id,
            "reason": "",
            "summary": Summary().as_json(),
            "created_at": now,
            "running_since": now,
            "ran_seconds": 0.0,
            "mirrored_version": -1,
            "version": 0,
        }
        try:
            with transaction(self._engine, write=True) as connection:
                connection.execute(insert(table).values(row))
                return _one(connection, new.id), True
        except IntegrityError:
            if existing := self.by_key(new.key):
                return existing, False
            raise SettingsError([name_taken(new.name)]) from None

    def get(self, sweep_id: str) -> Sweep | None:
        return self._first(table.c.id == sweep_id)

    def by_key(self, key: str) -> Sweep | None:
        return self._first(table.c.key == key) if key else None

    def by_name(self, name: str) -> Sweep | None:
        """The sweep of this name that is not deleted."""
        return self._first((table.c.name == name) & table.c.deleted_at.is_(None))

    def find(self, prefix: str) -> list[str]:
        """Ids that begin with `prefix`, at most 10."""
        query = select(table.c.id).where(table.c.id.startswith(prefix, autoescape=True)).order_by(table.c.id).limit(10)
        with transaction(self._engine) as connection:
            return list(connection.scalars(query))

    def page(
        self, *, words: str = "", states: Collection[str] = (), deleted: bool = False, limit: int = 50, offset: int = 0
    ) -> SweepPage:
        """Sweeps, newest first. Every word must be part of the name, id or type; case does not matter."""
        matches = table.c.deleted_at.is_not(None) if deleted else table.c.deleted_at.is_(None)
        for word in words.casefold().split():
            matches &= table.c.search.contains(word, autoescape=True)
        if states:
            matches &= table.c.state.in_([str(state) for state in states])
        rows = select(table).where(matches).order_by(table.c.created_at.desc(), table.c.id.desc())
        with transaction(self._engine) as connection:
            found = [_to_sweep(row) for row in connection.execute(rows.limit(limit).offset(offset))]
            total = connection.scalar(select(func.count()).select_from(table).where(matches)) or 0
        return SweepPage(found, total)

    def to_attend(self) -> list[Sweep]:
        """Sweeps that run, or have trials whose end is open, or are deleted and have tasks that are not."""
        running = (table.c.state == SweepState.RUNNING.value) & table.c.deleted_at.is_(None)
        trials = select(task.c.sweep_id).where(text(TRIAL) & (task.c.sweep_id == table.c.id))
        open_ones, shown = trials.where(task.c.trial_state == ""), trials.where(task.c.deleted_at.is_(None))
        wanted = running | open_ones.exists() | (table.c.deleted_at.is_not(None) & shown.exists())
        with transaction(self._engine) as connection:
            return [_to_sweep(row) for row in connection.execute(select(table).where(wanted))]

    def move(self, sweep: Sweep, to: SweepState, reason: str, spec: SweepSpec | None = None) -> Sweep:
        """Move a sweep on, if it is still as the caller saw it; with another spec, if one is given.

        Raises:
            ConflictError: there is no such move, or it has moved meanwhile.
        """
        if to not in MOVES[sweep.state]:
            raise ConflictError(f"Sweep {sweep.name!r} is {sweep.state.lower()}; it cannot become {to.lower()}.")
        now = time.time()
        values: dict[str, Any] = {"state": to.value, "reason": reason}
        if to is SweepState.RUNNING:
            values |= {"running_since": now, "ended_at": None}
        else:
            since = func.coalesce(table.c.running_since, now)
            values |= {"running_since": None, "ran_seconds": table.c.ran_seconds + now - since, "ended_at": now}
        return self._change(sweep, values | _spec_column(spec))

    def set_spec(self, sweep: Sweep, spec: SweepSpec) -> Sweep:
        """Change what was decided, such as how many trials there shall be."""
        return self._change(sweep, _spec_column(spec))

    def set_summary(self, sweep: Sweep, summary: Summary) -> Sweep:
        """Say how its trials are. MLflow is told about it."""
        return self._change(sweep, {"summary": summary.as_json()})

    def set_deleted(self, sweep: Sweep, deleted_at: float | None) -> Sweep:
        """Hide it, or show it again.

        Raises:
            SettingsError: another one has its name now.
        """
        try:
            return self._change(sweep, {"deleted_at": deleted_at})
        except IntegrityError:
            raise SettingsError([name_taken(sweep.name)]) from None

    def running_since(self, sweep_id: str) -> float:
        """When it was started or resumed last; 0 if it does not run."""
        with transaction(self._engine) as connection:
            return connection.scalar(select(table.c.running_since).where(table.c.id == sweep_id)) or 0.0

    def unmirrored(self) -> list[Sweep]:
        """Sweeps that have changed since MLflow was told."""
        behind = (table.c.mirrored_version < table.c.version) & table.c.deleted_at.is_(None)
        with transaction(self._engine) as connection:
            return [_to_sweep(row) for row in connection.execute(select(table).where(behind))]

    def set_mirrored(self, sweep: Sweep) -> None:
        """MLflow knows the sweep as it is here; later changes are not known yet."""
        older = (table.c.id == sweep.id) & (table.c.mirrored_version < sweep.version)
        with transaction(self._engine, write=True) as connection:
            connection.execute(update(table).where(older).values(mirrored_version=sweep.version))

    def _change(self, sweep: Sweep, values: dict[str, Any]) -> Sweep:
        seen = (table.c.id == sweep.id) & (table.c.version == sweep.version)
        with transaction(self._engine, write=True) as connection:
            done = connection.execute(update(table).where(seen).values(values | {"version": sweep.version + 1}))
            now = _one(connection, sweep.id)
            if done.rowcount == 0:
                raise ConflictError(f"Sweep {sweep.name!r} has moved on meanwhile: it is {now.state} now.")
            return now

    def _first(self, condition: Any) -> Sweep | None:
        with transaction(self._engine) as connection:
            row = connection.execute(select(table).where(condition)).first()
        return _to_sweep(row) if row else None


def name_taken(name: str) -> Problem:
    """The name belongs to another sweep."""
    text = f"There is a sweep {name!r} already. Choose another name, or delete that one."
    return Problem("name", "name_taken", text, {"name": name})


def _spec_column(spec: SweepSpec | None) -> dict[str, Any]:
    return {} if spec is None else {"spec": spec.model_dump_json()}


def _one(connection: Connection, sweep_id: str) -> Sweep:
    row = connection.execute(select(table).where(table.c.id == sweep_id)).first()
    if row is None:
        raise NotFoundError(f"There is no sweep {sweep_id}.")
    return _to_sweep(row)


def _to_sweep(row: Row[Any]) -> Sweep:
    summary = json.loads(row.summary)
    running = time.time() - row.running_since if row.running_since else 0.0
    return Sweep(
        id=row.id,
        name=row.name,
        state=SweepState(row.state),
        spec=SweepSpec.model_validate_json(row.spec),
        created_at=row.created_at,
        experiment_id=row.experiment_id,
        ended_at=row.ended_at,
        reason=row.reason,
        counts=summary["counts"],
        best=tuple(summary["best"]),
        best_values=tuple(tuple(values) for values in summary["best_values"]),
        spent_seconds=row.ran_seconds + running,
        device_seconds=summary["device_seconds"],
        unsynced=row.mirrored_version < row.version,
        deleted_at=row.deleted_at,
        purging_at=row.purging_at,
        version=row.version,
    )
