"""What REST and the pages' scripts get to see: plain dicts that are always valid JSON."""

import gzip
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from dash_app import formats
from minimind_platform.tasks import ENDED, Task

WORTH_PACKING = 1_000
"""Bytes; less fits into one packet anyway."""


def plain(value: Any) -> Any:
    """Dataclasses, paths, enums and numbers that JSON cannot hold, as JSON holds them: NaN and infinity become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else repr(value)


def answer(value: Any, status: int = 200) -> JSONResponse:
    """A JSON answer that no cache keeps."""
    return JSONResponse(plain(value), status_code=status, headers={"Cache-Control": "no-store"})


def packed(request: Request, value: Any) -> Response:
    """A JSON answer of plain values that no cache keeps, compressed where that pays and the asker takes it."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    if len(body) > WORTH_PACKING and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, 1)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)


def task_view(task: Task, with_config: bool = True) -> dict[str, Any]:
    """A task for REST. Lists and live updates go without the settings; the small picture of the loss is for lists."""
    view = plain(task)
    del view["progress"]["trend"]
    view["ended"] = task.state in ENDED
    view["progress"]["fraction"] = task.progress.fraction
    if not with_config:
        del view["config"]
    return view


def row_view(task: Task, turn: int) -> dict[str, Any]:
    """A task as a line of a list.

    Args:
        task: that task.
        turn: its place in the queue, 0 for none.
    """
    view = task_view(task, with_config=False)
    view["turn"] = turn
    view["trend"] = task.progress.trend
    view["differs"] = [
        {"name": one.name, "before": _setting(one.before), "after": _setting(one.after)} for one in task.differs
    ]
    return view


def _setting(value: Any) -> str:
    return formats.setting(value if isinstance(value, str | int | float | None) else json.dumps(value)) or "–"
