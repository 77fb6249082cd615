"""Tables of the queue's database, and the triggers that guard them.

    connection.execute(select(task).where(task.c.state == State.QUEUED))

MLflow is the record of what was trained; here is only what scheduling needs. A change here needs a new file in
`migrations/versions/`, and its number in `REVISIONS`.
"""

from collections.abc import Mapping

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint, text

from minimind_platform.tasks import State

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""All versions of the database that this program knows, oldest first."""

metadata = MetaData()
# Indexes of some rows only are used by queries that say the same, in the same words and with nothing to fill in.
QUEUED = "state = 'QUEUED'"
UNMIRRORED = "mirrored_version < version"
TRIAL = "sweep_id != ''"
_KEPT = "deleted_at IS NULL"  # a deleted sweep leaves its name to others
# What lists are sorted by, and what they are filtered by before it: so they are sorted without reading tasks.
_LISTED = ("deleted_at", "archived_at", "sweep_id", "created_at", "id", "state", "type")
_LISTED += ("started_at", "ended_at", "fraction", "loss", "reward", "priority", "queued_at")
# What tasks need, and all that their turn depends on, so that none but the next one is read.
_WAITING = ("state", "deleted_at", "wants", "processes", "queued_at", "priority", "created_at", "id", "not_before")


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of some rows only."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


task = Table(
    "task",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("key", String(200)),  # NULL if submitted without one: NULLs never collide
    Column("type", String(40), nullable=False),
    Column("name", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("experiment_id", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("config", Text, nullable=False),
    Column("wants", String(40), nullable=False),  # config["device"], so that a claim need not read configs
    Column("processes", Integer, nullable=False, server_default="1"),  # config["num_processes"], for the same reason
    Column("search", Text, nullable=False),  # name, id, type and data path, casefolded
    Column("priority", Integer, nullable=False),
    Column("parent_id", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("queued_at", Float, nullable=False),  # begin of the waiting that counts for its turn
    Column("not_before", Float, nullable=False),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("attempt", Integer, nullable=False),
    Column("attempt_step", Integer, nullable=False),  # step that this attempt began with
    Column("restarts", Integer, nullable=False),  # automatic ones since a person last queued it
    Column("fruitless", Integer, nullable=False),  # attempts in a row without a new step
    Column("device", String(40), nullable=False),
    Column("waits_for", Text, nullable=False),
    Column("progress", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("error_class", String(40), nullable=False),
    Column("hint", Text, nullable=False),
    Column("mirrored_version", Integer, nullable=False),  # the version that MLflow was told last; -1: none
    Column("deleted_at", Float),
    Column("version", Integer, nullable=False),
    Column("sweep_id", String(64), nullable=False, server_default=""),
    Column("trial", Integer, nullable=False, server_default="-1"),  # its number in the sweep
    Column("trial_state", String(16), nullable=False, server_default=""),  # "" until the sweep knows how it ended
    Column("purging_at", Float),  # since when it is being removed for good; from then on nothing brings it back
    Column("archived_at", Float),
    Column("fraction", Float, nullable=False, server_default="0"),  # of progress, what lists are sorted by
    Column("loss", Float),  # NULL for trainings by rewards, and while there is none
    Column("reward", Float),
    Column("differs", Text, nullable=False, server_default="[]"),  # from its parent's settings
    Column("overrides", Text, nullable=False, server_default="{}"),  # what attempts have instead of `config`
    UniqueConstraint("key", name="task_key"),
    Index("task_state", "state"),
    Index("task_created_at", "created_at"),
    Index("task_listed", *_LISTED),
    _partial("task_waiting", *_WAITING, where=QUEUED),
    _partial("task_unmirrored", "deleted_at", "created_at", where=UNMIRRORED),
    _partial("task_sweep_id", "sweep_id", "deleted_at", where=TRIAL),
    _partial("task_trial_state", "sweep_id", "trial_state", where=TRIAL),
)

task_event = Table(
    "task_event",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("task_id", String(64), nullable=False),
    Column("at", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("before", String(16), nullable=False),
    Column("after", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("error_class", String(40), nullable=False, server_default=""),
    Column("overrides", Text, nullable=False, server_default=""),  # "" where a move changes none
    Index("task_event_task_id", "task_id"),
)

lease = Table(
    "lease",
    metadata,
    Column("slot", String(40), primary_key=True),  # the primary key is what makes a double lease impossible
    Column("task_id", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("taken_at", Float, nullable=False),
)

sweep = Table(
    "sweep",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("key", String(200)),
    Column("name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("spec", Text, nullable=False),
    Column("search", Text, nullable=False),  # name, id and type, casefolded
    Column("experiment_id", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("summary", Text, nullable=False),  # trials by state, the best, time on devices: what lists show
    Column("created_at", Float, nullable=False),
    Column("running_since", Float),  # NULL unless it is running
    Column("ran_seconds", Float, nullable=False),  # before that
    Column("ended_at", Float),
    Column("deleted_at", Float),
    Column("mirrored_version", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("purging_at", Float),
    UniqueConstraint("key", name="sweep_key"),
    _partial("sweep_name", "name", where=_KEPT, unique=True),
    Index("sweep_created_at", "created_at"),
)


def trigger_sql(moves: Mapping[State, frozenset[State]], dialect: str) -> list[str]:
    """Statements that make the database itself refuse moves outside `moves` and changes to the history."""
    known = " OR ".join(
        f"(OLD.state = '{before}' AND NEW.state IN ({', '.join(repr(str(to)) for to in sorted(after))}))"
        for before, after in moves.items()
        if after
    )
    return _postgresql(known) if dialect == "postgresql" else _sqlite(known)


def _sqlite(known: str) -> list[str]:
    refuse = "BEGIN SELECT RAISE(ABORT, '{}'); END"
    no_move, no_change = refuse.format("no such move between states"), refuse.format("the history is append-only")
    return [
        f"CREATE TRIGGER task_moves BEFORE UPDATE OF state ON task WHEN NOT ({known}) {no_move}",
        f"CREATE TRIGGER task_begins BEFORE INSERT ON task WHEN NEW.state != 'QUEUED' {no_move}",
        f"CREATE TRIGGER task_event_update BEFORE UPDATE ON task_event {no_change}",
        f"CREATE TRIGGER task_event_delete BEFORE DELETE ON task_event {no_change}",
    ]


def _postgresql(known: str) -> list[str]:
    refuse = "CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{}'; END $$"
    return [
        refuse.format("no_such_move", "no such move between states"),
        refuse.format("history_is_append_only", "the history is append-only"),
        "CREATE TRIGGER task_moves BEFORE UPDATE OF state ON task FOR EACH ROW "
        f"WHEN (NOT ({known})) EXECUTE FUNCTION no_such_move()",
        "CREATE TRIGGER task_begins BEFORE INSERT ON task FOR EACH ROW "
        "WHEN (NEW.state != 'QUEUED') EXECUTE FUNCTION no_such_move()",
        "CREATE TRIGGER task_event_guard BEFORE UPDATE OR DELETE ON task_event FOR EACH ROW "
        "EXECUTE FUNCTION history_is_append_only()",
    ]


def purge_sql(dialect: str) -> list[str]:
    """Statements after which history may go, but only after its task, and a task only while it is being purged."""
    if dialect == "postgresql":
        return [
            "CREATE OR REPLACE FUNCTION history_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT 1 FROM task WHERE id = OLD.task_id) THEN RETURN OLD; END IF; "
            "RAISE EXCEPTION 'the history is append-only'; END $$",
            "CREATE FUNCTION only_purged_tasks_go() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'only a task that is being purged may go'; END $$",
            "CREATE TRIGGER task_goes BEFORE DELETE ON task FOR EACH ROW "
            "WHEN (OLD.purging_at IS NULL) EXECUTE FUNCTION only_purged_tasks_go()",
        ]
    return [
        "DROP TRIGGER task_event_delete",
        "CREATE TRIGGER task_event_delete BEFORE DELETE ON task_event "
        "WHEN EXISTS (SELECT 1 FROM task WHERE id = OLD.task_id) "
        "BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END",
        "CREATE TRIGGER task_goes BEFORE DELETE ON task WHEN OLD.purging_at IS NULL "
        "BEGIN SELECT RAISE(ABORT, 'only a task that is being purged may go'); END",
    ]
