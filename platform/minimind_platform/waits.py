"""Why queued tasks are not started yet, in sentences for people.

explain(store.waiting(), slots, holders={"cpu:0": "sft of Tuesday"}, now=time.time())
# {"3f2a...": "waits for cpu:0, held by sft of Tuesday", "77c1...": "waits for its turn"}

They are stored, so none says what changes for all whenever one is started, such as the place in the queue.
"""

import math
from collections.abc import Mapping, Sequence

from minimind_platform.store import FARTHEST_SECONDS, Waiting, slots_for, slots_needed

IN_LINE = "waits for its turn"


def explain(
    waiting: Sequence[Waiting], slots: Mapping[str, Sequence[str]], holders: Mapping[str, str], now: float
) -> dict[str, str]:
    """A sentence for each task; "" for one that starts next.

    Args:
        waiting: queued tasks in the order of their turn.
        slots: all slots by kind of device.
        holders: name of the task in each taken slot.
        now: seconds since 1970.
    """
    sentences: dict[str, str] = {}
    lines: set[tuple[str, ...]] = set()
    for task in waiting:
        usable = tuple(slots_for(task.wants, slots))
        count = slots_needed(task.processes, usable)
        if not usable:
            sentences[task.id] = f"waits for {task.wants}, which this machine does not have"
        elif count > len(usable):
            sentences[task.id] = f"waits for {count} GPUs, which this machine does not have"
        elif now < task.not_before <= now + FARTHEST_SECONDS:
            sentences[task.id] = f"next try in {_rounded(task.not_before - now)} s"
        elif usable in lines:
            sentences[task.id] = IN_LINE
        else:
            lines.add(usable)
            sentences[task.id] = _first_in_line(count, usable, holders)
    return sentences


def _first_in_line(count: int, usable: tuple[str, ...], holders: Mapping[str, str]) -> str:
    free = sum(slot not in holders for slot in usable)
    if free >= count:
        return ""
    if count > 1:
        names = dict.fromkeys(holders[slot] for slot in usable if slot in holders)
        return f"waits for {count} of {', '.join(usable)}, held by {' and '.join(names)}"
    return f"waits for {' or '.join(usable)}, held by {' and '.join(holders[slot] for slot in usable)}"


def _rounded(seconds: float) -> int:
    """Whole seconds near the end, else in steps of five: the sentence is stored whenever it changes."""
    return math.ceil(seconds) if seconds <= 10 else math.ceil(seconds / 5) * 5
