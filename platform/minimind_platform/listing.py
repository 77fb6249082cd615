"""Which tasks a list shows, in which order: filters, sorting and paging in the database.

    with transaction(engine) as connection:
        page = read_page(connection, ListQuery(states=["FAILED"], sort="loss", limit=25))

Only ids are filtered and sorted; settings and progress are read of those tasks alone that the page shows.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, case, func, null, select, text

from minimind_platform.errors import PlatformError
from minimind_platform.rows import to_task
from minimind_platform.schema import QUEUED, TRIAL
from minimind_platform.schema import task as table
from minimind_platform.tasks import State, Task, TaskPage

WAITING = text(QUEUED) & table.c.deleted_at.is_(None)
"""Condition of the tasks that wait."""
AGEING_SECONDS = 600
"""Waiting this long is worth one point of priority, so that nothing waits for ever."""
DELETED = table.c.deleted_at > 0  # an index is searched for a comparison, but seldom for IS NOT NULL
TURN_AT = table.c.queued_at - table.c.priority * AGEING_SECONDS
# priority + waited / AGEING_SECONDS, less what is the same for all: an order that does not depend on the time
TURN = (TURN_AT, table.c.created_at, table.c.id)
IN_ORDER = (State.QUEUED, State.STARTING, State.RUNNING, State.STOPPING, State.LOST)
IN_ORDER += (State.FINISHED, State.STOPPED, State.FAILED)
SORTS = ("created", "started", "duration", "name", "state", "type", "progress", "loss", "priority", "turn")
"""What a list can be sorted by."""
ALWAYS_KNOWN = frozenset({"name", "state", "type", "progress"})
"""Sorts by what every task has, where nothing has to come last."""
IDS_A_QUERY = 500
_TASK_COLUMNS = [column for column in table.c if column.name != "search"]


@dataclass(frozen=True)
class ListQuery:
    """A question for a page of tasks."""

    states: Collection[str] = ()
    """None: all."""
    types: Collection[str] = ()
    words: str = ""
    """Every word must be part of the name, id, type or data path; case does not matter."""
    deleted: bool = False
    archived: bool | None = False
    """Only those that are archived, only those that are not, or (None) both."""
    trials: bool = True
    """Trials of sweeps too."""
    sweep_id: str = ""
    """Only trials of this sweep."""
    until: float | None = None
    """Only those made up to then, so that new ones do not move others from one page to the next."""
    sort: str = "created"
    """One of `SORTS`. Tasks without a value come last."""
    descending: bool = True
    limit: int = 50
    offset: int = 0


def read_page(connection: Connection, query: ListQuery) -> TaskPage:
    """The tasks of a page, how many there are on all pages, and how many in each state.

    Raises:
        PlatformError: there is no such order.
    """
    matches = _matches(query)
    wanted = matches & table.c.state.in_(list(query.states)) if query.states else matches
    ids = select(table.c.id).where(wanted).order_by(*_order(query)).limit(query.limit).offset(query.offset)
    tasks = _tasks(connection, list(connection.scalars(ids)))
    counts = select(table.c.state, func.count()).where(matches).group_by(table.c.state)
    by_state = {row[0]: row[1] for row in connection.execute(counts)}
    total = sum(count for state, count in by_state.items() if not query.states or state in query.states)
    return TaskPage(tasks, total, by_state, turns(connection, [t.id for t in tasks if t.state is State.QUEUED]))


def turns(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """The places of some tasks in the queue, from 1 on; of those that wait."""
    if not ids:
        return {}
    place = func.row_number().over(order_by=TURN).label("place")
    queue = select(table.c.id, place).where(WAITING).subquery()
    found = (connection.execute(select(queue).where(queue.c.id.in_(part))) for part in chunks(ids, IDS_A_QUERY))
    return {row.id: row.place for rows in found for row in rows}


def _tasks(connection: Connection, ids: Sequence[str]) -> list[Task]:
    found: dict[str, Task] = {}
    for part in chunks(ids, IDS_A_QUERY):
        rows = connection.execute(select(*_TASK_COLUMNS).where(table.c.id.in_(part)))
        found |= {row.id: to_task(row) for row in rows}
    return [found[task_id] for task_id in ids]


def chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for begin in range(0, len(ids), size):
        yield ids[begin : begin + size]


def _matches(query: ListQuery) -> ColumnElement[bool]:
    c = table.c
    matches = DELETED if query.deleted else c.deleted_at.is_(None)
    if query.archived is not None:
        matches &= c.archived_at.is_not(None) if query.archived else c.archived_at.is_(None)
    if query.sweep_id:
        matches &= text(TRIAL) & (c.sweep_id == query.sweep_id)
    elif not query.trials:
        matches &= c.sweep_id == ""
    if query.until is not None:
        matches &= c.created_at <= query.until
    if query.types:
        matches &= c.type.in_(list(query.types))
    for word in query.words.casefold().split():
        matches &= c.search.contains(word, autoescape=True)
    return matches


def _order(query: ListQuery) -> list[ColumnElement]:
    """What to sort by, always ending in the id, so that no two tasks have the same place."""
    if query.sort not in SORTS:
        raise PlatformError(f"Tasks cannot be sorted by {query.sort!r}; choose from {', '.join(SORTS)}.")
    c = table.c
    queued = c.state == State.QUEUED.value
    took = func.coalesce(c.ended_at, time.time()) - c.started_at
    columns: dict[str, tuple[ColumnElement, ...]] = {
        "created": (c.created_at,),
        "started": (c.started_at,),
        "duration": (case((queued, null()), else_=took),),
        "name": (c.search,),  # begins with the name, casefolded
        "state": (case({state.value: place for place, state in enumerate(IN_ORDER)}, value=c.state),),
        "type": (c.type,),
        "progress": (c.fraction,),
        "loss": (c.loss, c.reward),  # of trainings by rewards, which have no loss to compare, the reward
        "priority": (case((queued, c.priority)),),
        "turn": (case((queued, TURN_AT)), case((queued, c.created_at)), case((queued, c.id))),
    }
    order = [column.desc() if query.descending else column.asc() for column in columns[query.sort]]
    if query.sort == "created":
        return [*order, c.id.desc() if query.descending else c.id.asc()]
    if query.sort not in ALWAYS_KNOWN:
        order = [column.nulls_last() for column in order]
    return [*order, c.created_at.desc(), c.id.desc()]
