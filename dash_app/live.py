"""One delta for the live page of a task, so that the page asks once a second and gets only what is new."""

import json
from typing import TYPE_CHECKING, Any

from dash_app.views import task_view
from minimind_platform import Metric
from minimind_platform.errors import PlatformError, TrackingUnavailableError

if TYPE_CHECKING:
    from minimind_platform import Platform

CURVES: dict[str, str] = {
    "loss": Metric.LOSS,
    "loss_min": Metric.LOSS_MIN,
    "loss_max": Metric.LOSS_MAX,
    "eval_loss": Metric.EVAL_LOSS,
    "learning_rate": Metric.LEARNING_RATE,
}
"""The curves of the page and their metrics."""


def live_delta(platform: "Platform", id: str, since: str, offset: int) -> dict[str, Any]:  # noqa: A002
    """What a page that has `since` and `offset` does not have yet.

    Raises:
        NotFoundError: there is no such task.
        PlatformError: `since` is malformed.
    """
    known = _parse_since(since)
    task = platform.task(id)
    tracking = platform.tracking_alive()
    curves: dict[str, Any] = {}
    if tracking:
        try:
            series = platform.series(task.id, list(CURVES.values()), known)
        except TrackingUnavailableError:
            tracking = False
        else:
            curves = {
                name: {"steps": series[key].steps, "values": _short(series[key].values), "sampled": series[key].sampled}
                for name, key in CURVES.items()
                if key in series and series[key].steps
            }
    log = platform.log(task.id, offset)
    return {
        "task": task_view(task, with_config=False),
        "curves": curves,
        "log": {"text": log.text, "begin": log.begin, "end": log.end, "reset": log.reset, "more": log.end < log.size},
        "tracking": tracking,
        "scheduler": platform.scheduler_alive(),
    }


def _short(values: list[float | None]) -> list[float | None]:
    """Six digits are more than a chart shows, and half the bytes."""
    return [None if value is None else float(f"{value:.6g}") for value in values]


def _parse_since(text: str) -> dict[str, int]:
    """By metric; the page says `loss:120`, scripts may say `train/loss:120` or send JSON."""
    try:
        pairs = (
            json.loads(text) if text.startswith("{") else dict(part.rsplit(":", 1) for part in text.split(",") if part)
        )
        return {CURVES.get(key, key): int(step) for key, step in pairs.items()}
    except (ValueError, TypeError, AttributeError):
        raise PlatformError(f"since must look like loss:120,eval_loss:100, got {text!r}.") from None
