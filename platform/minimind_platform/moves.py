"""What a person's wish to stop or resume a task comes to, by where the task stands.

move = stopped(task)      # None: nothing to do
"""

from minimind_platform.errors import ConflictError
from minimind_platform.tasks import ENDED, State, Task

BY_PERSON = "stopped by a person"


def stopped(task: Task) -> tuple[State, str] | None:
    """Stop it: at once if it waits, else once it has saved a checkpoint."""
    if task.state in (State.STOPPING, State.STOPPED):  # asked for twice: what the person wants is so or will be
        return None
    if task.state in ENDED:
        raise ConflictError(f"Task {task.name!r} has ended already: it is {task.state.lower()}.")
    return on_the_way_out(task), BY_PERSON


def on_the_way_out(task: Task) -> State:
    """The next state of a task that shall stop: without a process it is stopped at once."""
    return State.STOPPED if task.state in (State.QUEUED, State.LOST) else State.STOPPING


def resumed(task: Task) -> tuple[State, str] | None:
    """Let it go on where it stopped."""
    if task.deleted_at is not None:
        raise ConflictError(f"Task {task.name!r} is deleted; restore it first.")
    if task.state is State.FINISHED:
        raise ConflictError(f"Task {task.name!r} is finished; retry or clone it to train again.")
    if task.state not in ENDED:
        raise ConflictError(f"Task {task.name!r} is {task.state.lower()}; only a stopped or failed one can be resumed.")
    return State.QUEUED, "resumed by a person"
