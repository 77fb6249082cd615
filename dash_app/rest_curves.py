"""REST for charts: curves in few buckets that keep every spike, the metrics of a run, and what happened to it.

    curl 'localhost:8050/api/runs/<run_id>/curves?keys=train/loss,train/grad_norm'
    curl 'localhost:8050/api/runs/<run_id>/curves?keys=train/loss&begin=500000&end=500900'

Of any run that the tracking server knows, not of tasks only.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from dash_app.views import packed, plain
from minimind_platform.errors import PlatformError

if TYPE_CHECKING:
    from minimind_platform import Platform
    from minimind_platform.curves.buckets import CurvePart
    from minimind_platform.curves.marks import Mark

KEYS = "Metrics, separated by commas."
SINCE = "What the asker has: `key:width:step`, separated by commas; the step is the last that it has, or its bucket's."
MOST_KEYS = 100
LAST = 1 << 62


def curves_router(platform: "Platform") -> APIRouter:
    """All routes under `/api/runs`."""
    router = APIRouter(prefix="/api/runs", tags=["reading"])

    @router.get("/{run_id}/curves")
    def curves(
        request: Request,
        run_id: str,
        keys: str = Query(description=KEYS),
        since: str = Query("", description=SINCE),
        begin: int | None = Query(None, ge=-LAST, le=LAST, description="First step, to look closer."),
        end: int | None = Query(None, ge=-LAST, le=LAST),
    ) -> Response:
        """Curves in at most 1,024 buckets each: smallest, largest, mean and number of the points of `width` steps.

        Width 1 means raw points. A curve without news since `since` is left out.
        """
        names = split_keys(keys)
        if begin is None and end is None:
            found = platform.curves.read(run_id, names, parse_since(since))
        else:
            found = platform.curves.zoom(run_id, names, -LAST if begin is None else begin, LAST if end is None else end)
        body = {"curves": curve_views(found.parts), "pending": found.pending, "tracking": found.tracking}
        return packed(request, body)

    @router.get("/{run_id}/keys")
    def keys(request: Request, run_id: str) -> Response:
        """Every metric that a run has, and the run."""
        facts, found = platform.curves.facts(run_id)
        return packed(request, {"keys": found, "run": plain(facts)})

    @router.get("/{run_id}/marks")
    def marks(request: Request, run_id: str, since: int = Query(0, ge=0)) -> Response:
        """Checkpoints, resumes, events and moves of a task, those after the first `since`."""
        return packed(request, marks_view(platform.curves.marks(run_id), since))

    return router


def split_keys(text: str) -> list[str]:
    """Metrics of a request; errors as in `some_keys`."""
    return some_keys(text.split(","))


def some_keys(given: Sequence[str]) -> list[str]:
    """Metrics of a request, each once.

    Raises:
        PlatformError: none, or too many.
    """
    keys = list(dict.fromkeys(key for key in given if key))
    if not 0 < len(keys) <= MOST_KEYS:
        raise PlatformError(f"keys must name 1 to {MOST_KEYS} metrics, separated by commas; got {len(keys)}.")
    return keys


def parse_since(text: str) -> dict[str, tuple[int, int]]:
    """Width and step by metric.

    Raises:
        PlatformError: it is malformed.
    """
    try:
        parts = [part.rsplit(":", 2) for part in text.split(",") if part]
        found = {key: (int(width), int(step)) for key, width, step in parts}
    except ValueError:
        raise PlatformError(f"since must look like train/loss:8:4096,eval/loss:1:100, got {text!r}.") from None
    if wrong := next((key for key, (width, _) in found.items() if width < 1 or width & (width - 1)), None):
        raise PlatformError(f"The width of {wrong} in since must be a power of two, got {found[wrong][0]}.")
    return found


def curve_views(parts: "dict[str, CurvePart]") -> dict[str, Any]:
    """Curves for JSON, by metric. Raw points go without what is the same as their value."""
    return {key: _curve(part) for key, part in parts.items()}


def marks_view(marks: "Sequence[Mark]", since: int) -> dict[str, Any]:
    """The marks after the first `since`, and how many there are now."""
    return {"marks": [plain(mark) for mark in marks[since:]], "count": len(marks)}


def _curve(part: "CurvePart") -> dict[str, Any]:
    view: dict[str, Any] = {
        "width": part.width,
        "from": part.begin,
        "steps": part.steps,
        "mean": _short(part.mean),
        "times": [round(at, 2) for at in part.times],
        "nans": part.nans,
        "sampled": part.sampled,
    }
    if part.width > 1:
        view |= {"last": part.last, "low": _short(part.low), "high": _short(part.high), "count": part.count}
    return view


def _short(values: list[float]) -> list[float]:
    """Six digits are more than a chart shows, and half the bytes."""
    return [float(f"{value:.6g}") for value in values]
