"""Tasks and model versions as text for a terminal.

print(table(TASK_HEADS, map(task_row, page.tasks)))
"""

from dataclasses import asdict
from typing import Any

from minimind_platform import tables
from minimind_platform.attempts import Attempt
from minimind_platform.tasks import State, Task
from minimind_platform.views import ModelVersion, Preflight
from trainer.reward_specs import rewards_in_words

SHORT = 8
"""Characters of an id that are shown."""
TASK_HEADS = ("ID", "STATE", "NAME", "TYPE", "PROGRESS", "LOSS", "DEVICE", "CREATED")
MODEL_HEADS = ("MODEL", "TYPE", "STEP", "LOSS", "EVAL", "SIZE", "TASK", "CREATED", "ALIASES")


def takes(preflight: Preflight) -> str:
    """What a training will take, in a sentence."""
    source = f"as task {preflight.estimated_from[:SHORT]}" if preflight.estimated_from else "a rough guess"
    time = f"about {tables.duration(preflight.seconds)} ({source}), " if preflight.seconds is not None else ""
    room = f"{time}about {tables.size(preflight.memory_bytes)} of memory, {tables.size(preflight.disk_bytes)} of disk."
    room += " The device has less memory." if preflight.too_large else ""
    room += " The disk has less room." if preflight.too_much else ""
    if preflight.answers_a_step:
        return (
            f"{tables.amount(preflight.parameters)} parameters, {preflight.rows:,} prompts, {preflight.steps:,} steps "
            f"of {preflight.answers_a_step:,} answers with at most {tables.amount(preflight.written_a_step)} tokens, "
            f"{room}"
        )
    trained = f" ({tables.amount(preflight.trainable)} of them trained)" if preflight.trainable else ""
    return (
        f"{tables.amount(preflight.parameters)} parameters{trained}, {preflight.rows:,} rows, "
        f"{tables.amount(preflight.tokens)} tokens a pass, {preflight.steps:,} steps, {room}"
    )


def task_row(task: Task) -> list[str]:
    """A task as a line of a list."""
    done = f"{task.progress.fraction:.0%}" if task.progress.total_steps else ""
    left = tables.duration(task.progress.seconds_left) if task.state is State.RUNNING else ""
    return [
        task.id[:SHORT],
        task.state,
        task.name,
        task.type,
        f"{done} ({left} left)" if left else done,
        _reward(task.progress.reward) or tables.number(task.progress.loss),
        task.device,
        tables.moment(task.created_at),
    ]


def facts(task: Task, place: int = 0, unsent: int = 0) -> list[tuple[str, str]]:
    """What is known of a task, without what is empty; with its place in the queue if it has one."""
    p = task.progress
    steps = f"step {p.step:,} of {p.total_steps:,}, {p.fraction:.0%}" if p.total_steps else ""
    facts = [
        ("Task", f"{task.id}  {task.name}"),
        ("Type", task.type),
        ("State", f"{task.state}{f', {task.waits_for}' if task.waits_for else ''}"),
        ("Place", f"{place} in the queue" if place else ""),
        ("Error", f"{task.error} {task.hint}".strip()),
        ("Progress", steps),
        ("Reward", tables.number(p.reward)),
        ("Eval reward", tables.number(p.eval_reward)),
        ("Loss", tables.number(p.loss)),
        ("Eval loss", tables.number(p.eval_loss)),
        ("Speed", f"{tables.amount(p.tokens_per_second)} tokens/s" if p.tokens_per_second else ""),
        ("Time left", tables.duration(p.seconds_left) if task.state is State.RUNNING else ""),
        ("Device", task.device),
        ("Attempt", str(task.attempt or "")),
        ("Created", tables.moment(task.created_at)),
        ("Started", tables.moment(task.started_at)),
        ("Ended", tables.moment(task.ended_at)),
        ("Priority", str(task.priority or "")),
        ("Repeats", task.parent_id),
        ("Changed", ", ".join(f"{one.name} {one.before} → {one.after}" for one in task.differs)),
        ("Archived", tables.moment(task.archived_at)),
        ("Deleted", tables.moment(task.deleted_at)),
        ("MLflow", _behind(unsent) if task.unsynced else ""),
    ]
    return [(label, text) for label, text in facts if text]


def _behind(unsent: int) -> str:
    return f"{unsent:,} numbers are not there yet" if unsent else "not up to date yet"


def checkpoint_row(version: ModelVersion) -> list[str]:
    """A checkpoint under its task."""
    loss = f"loss {tables.number(version.loss)}" if version.loss is not None else ""
    loss = _reward(version.eval_reward) or loss
    names = " ".join(version.aliases)
    return [
        f"models:/{version.name}/{version.version}",
        f"step {version.step}",
        loss,
        tables.size(version.bytes),
        names,
    ]


def model_row(version: ModelVersion) -> list[str]:
    """A version as a line of a list."""
    return [
        f"models:/{version.name}/{version.version}",
        f"{version.type} on {version.base}" if version.lora_rank else version.type,
        str(version.step),
        tables.number(version.loss if version.eval_reward is None else None),
        _reward(version.eval_reward) or tables.number(version.eval_loss),
        tables.size(version.bytes),
        version.task_id[:SHORT],
        tables.moment(version.created_at),
        " ".join(version.aliases),
    ]


def _reward(value: float | None) -> str:
    """In the place of a loss, which says little of a training by rewards."""
    return "" if value is None else f"reward {tables.number(value)}"


def attempt_row(attempt: Attempt) -> list[str]:
    """One try of a task: when, how it ended, and with what it differed from the settings."""
    changed = ", ".join(f"{name} {value}" for name, value in attempt.overrides.items())
    lasted = tables.duration(attempt.ended_at - attempt.began_at) if attempt.ended_at else ""
    how = f"{attempt.error_class}: {attempt.ending}" if attempt.error_class else attempt.ending
    return [str(attempt.number), tables.moment(attempt.began_at), lasted, changed, how or "runs"]


def setting(name: str, value: Any) -> str:
    """A setting of a task in one line."""
    return rewards_in_words(value) if name == "rewards" else str(value)


def indented(rows: list[list[str]]) -> str:
    """Rows as columns, two spaces in."""
    if not rows:
        return ""
    text = tables.table([""] * len(rows[0]), rows)
    return "\n".join(f"  {line}" for line in text.splitlines()[1:])


def as_json(task: Task) -> dict[str, Any]:
    """A task as JSON."""
    return asdict(task) | {"progress": asdict(task.progress) | {"fraction": task.progress.fraction}}
