"""One delta for the live page of a task, so that the page asks once a second and gets only what is new."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dash_app.charts import curves as curves_of
from dash_app.rest_curves import curve_views, marks_view, parse_since, split_keys
from dash_app.views import task_view
from minimind_platform.curves.service import LIVE_WAIT
from minimind_platform.errors import PlatformError, TrackingUnavailableError

if TYPE_CHECKING:
    from minimind_platform import Platform, Series

MOST_POINTS = 10_000
"""Of one curve on the page; its script has the same limit and asks for the whole curve again beyond it."""


@dataclass(frozen=True)
class LiveRequest:
    """What a page asks once a second."""

    id: str
    keys: str
    """Metrics that it draws, separated by commas."""
    since: str
    """What it has of them, as in `rest_curves`."""
    marks: int
    """How many marks it has."""
    offset: int
    """`end` of the last piece of the log, -1 for the tail."""


def live_delta(platform: "Platform", id: str, since: str, offset: int) -> dict[str, Any]:  # noqa: A002
    """What a page that has `since` and `offset` does not have yet.

    Raises:
        NotFoundError: there is no such task.
        PlatformError: `since` is malformed.
    """
    task = platform.task(id)
    names = curves_of(task)
    known = _parse_since(since, names)
    tracking = platform.tracking_alive()
    curves: dict[str, Any] = {}
    if tracking:
        try:
            series = platform.series(task.id, list(names.values()), known)
        except TrackingUnavailableError:
            tracking = False
        else:
            curves = {
                name: _points(name, series[key]) for name, key in names.items() if key in series and series[key].steps
            }
    return {
        "task": task_view(task, with_config=False),
        "curves": curves,
        "log": _log(platform, task.id, offset),
        "tracking": tracking,
        "scheduler": platform.scheduler_alive(),
    }


def live_curves(platform: "Platform", request: LiveRequest) -> dict[str, Any]:
    """What a page that has the curves, marks and log of this request does not have yet.

    Raises:
        NotFoundError: there is no such task.
        PlatformError: `keys` or `since` is malformed.
    """
    task = platform.task(request.id)
    keys = split_keys(request.keys)
    found = platform.curves.read(task.id, keys, parse_since(request.since), wait=LIVE_WAIT)
    marks = platform.curves.marks(task.id, whole=False)
    delta = {
        "task": task_view(task, with_config=False),
        "curves": curve_views(found.parts),
        "pending": found.pending,
        "log": _log(platform, task.id, request.offset),
        "tracking": found.tracking and platform.tracking_alive(),
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


def _points(name: str, series: "Series") -> dict[str, Any]:
    """A curve for the page. Of more points than a chart can show, each of its points stands for several: the smallest
    and largest curves keep their extremes, so that no spike disappears; the others show the mean."""
    steps, values, sampled = series.steps, series.values, series.sampled
    if len(steps) > MOST_POINTS:
        each = -(-len(steps) // (MOST_POINTS // 2))  # half, so that the page has room for what comes
        join = {"loss_min": min, "loss_max": max}.get(name, _mean)
        parts = [[v for v in values[i : i + each] if v is not None] for i in range(0, len(values), each)]
        steps = [steps[min(i + each, len(steps)) - 1] for i in range(0, len(steps), each)]
        values, sampled = [join(part) if part else None for part in parts], True
    # Six digits are more than a chart shows, and half the bytes.
    return {"steps": steps, "values": [None if v is None else float(f"{v:.6g}") for v in values], "sampled": sampled}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _parse_since(text: str, names: dict[str, str]) -> dict[str, int]:
    """By metric; the page says `loss:120`, scripts may say `train/loss:120` or send JSON."""
    try:
        pairs = (
            json.loads(text) if text.startswith("{") else dict(part.rsplit(":", 1) for part in text.split(",") if part)
        )
        return {names.get(key, key): int(step) for key, step in pairs.items()}
    except (ValueError, TypeError, AttributeError):
        raise PlatformError(f"since must look like loss:120,eval_loss:100, got {text!r}.") from None
