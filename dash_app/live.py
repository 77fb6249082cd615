"""One delta for the live page of a task, so that the page asks once a second and gets only what is new."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dash_app.rest_curves import curve_views, marks_view, parse_since, split_keys
from dash_app.views import task_view
from minimind_platform.curves.service import LIVE_WAIT
from minimind_platform.tasks import State

if TYPE_CHECKING:
    from minimind_platform import Platform


@dataclass(frozen=True)
class LiveRequest:
    """What a page asks once a second."""

    id: str
    keys: str
    """Metrics that it draws, separated by commas; "" for none."""
    since: str
    """What it has of them, as in `rest_curves`."""
    marks: int
    """How many marks it has."""
    offset: int
    """`end` of the last piece of the log, -1 for the tail."""


def live_delta(platform: "Platform", request: LiveRequest) -> dict[str, Any]:
    """What a page that has the curves, marks and log of this request does not have yet.

    Raises:
        NotFoundError: there is no such task.
        PlatformError: `keys` or `since` is malformed.
    """
    task = platform.task(request.id)
    keys = split_keys(request.keys) if request.keys else []
    found = platform.curves.read(task, keys, parse_since(request.since), wait=LIVE_WAIT)
    marks = platform.curves.marks(task, whole=False)
    tracking = found.tracking and platform.tracking_alive()
    delta = {
        "task": task_view(task, with_config=False),
        "turn": platform.queue.place_of(task.id) if task.state is State.QUEUED else 0,
        "curves": curve_views(found.parts),
        "pending": found.pending,
        "log": _log(platform, task.id, request.offset),
        "tracking": tracking,
        "unsent": platform.sending.unsent(task) if task.unsynced or not tracking else 0,
        "scheduler": platform.scheduler_alive(),
    }
    return delta | (marks_view(marks, request.marks) if len(marks) > request.marks else {})


def _log(platform: "Platform", task_id: str, offset: int) -> dict[str, Any]:
    log = platform.logs.piece(task_id, offset, colours=True)
    return {
        "text": log.text,
        "begin": log.begin,
        "end": log.end,
        "reset": log.reset,
        "more": log.end < log.size,
        "unfinished": log.unfinished,
    }
