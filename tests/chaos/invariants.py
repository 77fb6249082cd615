"""What must hold whatever was killed: the eight invariants of docs/reliability.md. Each gives what violates it, a
sentence each, and none if nothing does."""

import itertools
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.watcher import Sighting
from minimind_platform.tasks import MOVES, State, Task, TaskEvent
from trainer.checkpoints import Checkpoints, verify
from trainer.names import TaskFile
from trainer.spool import read_records


def one_attempt_a_task(sightings: Iterable[Sighting]) -> list[str]:
    """1. No task has two runners at once."""
    found = set()
    for sighting in sightings:
        running = Counter(task_id for task_id, _ in sighting.live)
        found |= {f"{task_id} ran {count} times at once" for task_id, count in running.items() if count > 1}
    return sorted(found)


def one_attempt_a_slot(sightings: Iterable[Sighting]) -> list[str]:
    """2. No slot is held by two attempts, and whoever lives holds one."""
    found = set()
    for sighting in sightings:
        held = Counter(slot for slot, _, _ in sighting.leases)
        found |= {f"{slot} was held by {count} attempts at once" for slot, count in held.items() if count > 1}
        holders = {(task_id, attempt) for _, task_id, attempt in sighting.leases}
        found |= {f"{task_id}, attempt {number}, ran without a slot" for task_id, number in sighting.live - holders}
    return sorted(found)


def only_known_moves(task: Task, events: Sequence[TaskEvent]) -> list[str]:
    """3. The history is one chain of allowed moves from the submit to the present state."""
    found = [] if events and events[0].before == "" else [f"{task.id} has no beginning"]
    for before, event in itertools.pairwise(events):
        if event.before != before.after:
            found.append(f"{task.id} was {before.after} and moved from {event.before}")
        if event.after != event.before and State(event.after) not in MOVES[State(event.before)]:
            found.append(f"{task.id} moved from {event.before} to {event.after}")
    if events and events[-1].after != task.state:
        found.append(f"{task.id} is {task.state}, its history says {events[-1].after}")
    return found


def ends_have_evidence(task: Task, events: Sequence[TaskEvent], folder: Path) -> list[str]:
    """4. What ended says how: a result of the trainer, the record of the runner, or a loss in the history."""
    if not task.ended:
        return [f"{task.id} is {task.state} and has not ended"]
    result = _json(folder / TaskFile.RESULT)
    if task.state is State.FINISHED:
        return [] if result.get("outcome") == "finished" else [f"{task.id} is FINISHED without a result that says so"]
    last = [event for event in events if event.attempt == task.attempt]
    ran = any(event.after == State.STARTING for event in last)
    lost = any(event.after == State.LOST for event in last)
    if not ran or lost or result or (folder / f"attempt-{task.attempt}" / "exit.json").exists():
        return []
    return [f"{task.id} is {task.state}, and nothing shows why"]


def no_process_left(ended: Iterable[Task], processes: Mapping[int, str]) -> list[str]:
    """5. Of what has ended, no process is left."""
    ids = {task.id for task in ended}
    return [f"process {pid} of {folder} lives" for pid, folder in processes.items() if Path(folder).parent.name in ids]


def a_good_checkpoint_stays(sightings: Iterable[Sighting], task: Task, folder: Path) -> list[str]:
    """6. The newest good checkpoint never becomes an older one, and what was announced last is good."""
    found, best = [], 0
    for sighting in sightings:
        step = sighting.good.get(task.id, best)
        if step < best:
            found.append(f"{task.id} had a good checkpoint of step {best} and then none newer than {step}")
        best = max(best, step)
    kept = {one.step: verify(one.path) for one in Checkpoints(folder, 1).all()}
    if newest := max(kept, default=0):
        found += [f"the newest checkpoint of {task.id} is damaged: {kept[newest]}"] if kept[newest] else []
    if task.state is State.FINISHED and newest != task.progress.total_steps:
        found.append(f"{task.id} ended at step {task.progress.total_steps}, its newest checkpoint is of {newest}")
    return found


def steps_without_gap(task: Task, folder: Path, stored: Sequence[tuple[int, float]]) -> list[str]:
    """7. Every step is on record once, in order, and MLflow has the same numbers once each."""
    records = [record for record, _ in read_records(folder / TaskFile.METRICS) if record["kind"] == "metrics"]
    losses = [(one["step"], one["values"]["train/loss"]) for one in records if "train/loss" in one["values"]]
    found, steps = [], [step for step, _ in losses]
    if steps != list(range(1, len(steps) + 1)):
        found.append(f"{task.id} has recorded its steps with gaps, twice or out of order")
    if task.state is State.FINISHED and len(steps) != task.progress.total_steps:
        found.append(f"{task.id} has recorded {len(steps)} of {task.progress.total_steps} steps")
    if sorted(stored) != sorted(losses):
        found.append(f"MLflow has {len(stored)} losses of {task.id}, the record {len(losses)}, or others")
    return found


def accepted_is_kept(accepted: Collection[str], tasks: Collection[Task], wanted: Mapping[str, str]) -> list[str]:
    """8. What was accepted is there, and what was sent twice with one key is there once.

    Args:
        accepted: ids that were given as an answer.
        tasks: all that there are.
        wanted: name of each task that was sent, to its id as answered.
    """
    known = {task.id for task in tasks}
    found = [f"{task_id} was accepted and is not there" for task_id in accepted if task_id not in known]
    named = Counter(task.name for task in tasks)
    found += [f"{name!r} is there {named[name]} times" for name in wanted if named[name] != 1]
    return found


def same_losses(curves: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]) -> list[str]:
    """Trainings of the same settings have the same losses, bit for bit, whatever happened to them.

    Args:
        curves: settings to tasks to their losses; the one that nothing disturbed comes first.
    """
    found = []
    for about, ours in curves.items():
        calm = next(iter(ours.values()), ())
        found += [f"{task_id} ({about}) has other losses" for task_id, curve in ours.items() if curve != calm]
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
