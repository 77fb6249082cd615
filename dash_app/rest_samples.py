"""REST about what a model answered while it was trained by rewards: `/api/tasks/<id>/samples`.

curl 'localhost:8050/api/tasks/ab12cd34/samples?order=least&limit=5'
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from dash_app.views import answer
from minimind_platform import SampleQuery
from minimind_platform.errors import NotFoundError
from minimind_platform.samples import MOST, Order

if TYPE_CHECKING:
    from minimind_platform import Platform

CHUNK = 1 << 18
LAST_BYTE = 1 << 62
ORDER = "newest, or by reward among the newest: least, most."


def samples_router(platform: "Platform") -> APIRouter:
    """Samples by page, and all of them as a file."""
    router = APIRouter(prefix="/api", tags=["reading"])

    @router.get("/tasks/{id}/samples")
    def samples(
        id: str,  # noqa: A002 - the name in the URL
        order: Annotated[Order, Query(description=ORDER)] = "newest",
        low: float | None = Query(None, description="Smallest reward.", allow_inf_nan=False),
        high: float | None = Query(None, description="Largest reward.", allow_inf_nan=False),
        first_step: int | None = Query(None, ge=0, le=LAST_BYTE),
        last_step: int | None = Query(None, ge=0, le=LAST_BYTE),
        before: int | None = Query(None, ge=0, le=LAST_BYTE, description="`older` of the page before."),
        limit: int = Query(20, ge=1, le=MOST),
    ) -> Response:
        """Answers of the model, newest first. `older` is where the next page begins, null after the last."""
        query = SampleQuery(order, low, high, first_step, last_step, before, limit)
        return answer(platform.samples(id, query))

    @router.get("/tasks/{id}/samples/download")
    def download(id: str) -> Response:  # noqa: A002
        """All samples, as JSONL."""
        task, path = platform.task(id), platform.samples_file(id)
        if not path.is_file():
            raise NotFoundError(f"Task {task.name!r} has no samples yet.")
        headers = {"Content-Disposition": f'attachment; filename="{task.id}-samples.jsonl"'}
        return StreamingResponse(_content(path), media_type="application/x-ndjson", headers=headers)

    return router


def _content(path: Path) -> Iterator[bytes]:
    """A file up to where it ends now; a training that still writes does not make this endless."""
    with path.open("rb") as file:
        left = file.seek(0, 2)
        file.seek(0)
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
