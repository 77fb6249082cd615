"""One delta for the live page of a task, so that the page asks once a second and gets only what is new."""

import json
from typing import TYPE_CHECKING, Any

from dash_app.charts import curves as curves_of
from dash_app.views import task_view
from minimind_platform.errors import PlatformError, TrackingUnavailableError

if TYPE_CHECKING:
    from minimind_platform import Platform, Series

MOST_POINTS = 10_000
"""Of one curve on the page; its script has the same limit and asks for the whole curve again beyond it."""


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
    log = platform.logs.piece(task.id, offset, colours=True)
    return {
        "task": task_view(task, with_config=False),
        "curves": curves,
        "log": {
            "text": log.text,
            "begin": log.begin,
            "end": log.end,
            "reset": log.reset,
            "more": log.end < log.size,
            "unfinished": log.unfinished,
        },
        "tracking": tracking,
        "scheduler": platform.scheduler_alive(),
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
