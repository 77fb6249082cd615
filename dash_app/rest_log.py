"""REST about the logs of tasks: pieces by byte offset, search, the place of a moment and of a failure, the whole.

curl 'localhost:8050/api/tasks/ab12cd34/log/find?words=nan&level=warning'
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from dash_app.views import answer
from minimind_platform import Wanted
from minimind_platform.errors import PlatformError

if TYPE_CHECKING:
    from minimind_platform import Platform

CHUNK = 1 << 18
LAST_BYTE = 1 << 50
LAST_MOMENT = 1 << 36
MOST_LINES = 200
MOST_WORDS = 200


def log_router(platform: "Platform") -> APIRouter:
    """Routes below `/api/tasks/<id>/log`. Each reads a bounded part of the file, however large that is."""
    router = APIRouter(prefix="/api/tasks/{id}/log", tags=["reading"])

    @router.get("")
    def log(
        id: str,  # noqa: A002 - the name in the URL
        offset: int = Query(-1, le=LAST_BYTE),
        limit: int = Query(65536, ge=1, le=CHUNK),
        before: Annotated[int | None, Query(ge=0, le=LAST_BYTE)] = None,
        colours: bool = False,
    ) -> Response:
        """A piece of the log from a byte offset; -1 for its tail; with `before` the lines that end at that byte.
        `colours` keeps the codes of colours (ESC [ … m) in the text."""
        return answer(platform.logs.piece(id, offset, limit, before=before, colours=colours))

    @router.get("/find")
    def find(
        id: str,  # noqa: A002
        words: str = Query("", max_length=MOST_WORDS),
        level: Literal["", "warning", "error"] = "",
        offset: int = Query(0, ge=0, le=LAST_BYTE),
        limit: int = Query(MOST_LINES, ge=1, le=MOST_LINES),
    ) -> Response:
        """Lines with some words, upper or lower case, or of a level, as far as some MB of the log tell. Ask again with
        `offset` = `end` until it is `done`."""
        if not words.strip() and not level:
            raise PlatformError("words and level are both empty; give one of them.")
        return answer(platform.logs.find(id, Wanted(words, level), offset, limit))

    @router.get("/at")
    def at(id: str, t: float = Query(ge=0, le=LAST_MOMENT)) -> Response:  # noqa: A002
        """The byte offset where the log of a moment begins; `t` in seconds since 1970."""
        return answer({"offset": platform.logs.at(id, t)})

    @router.get("/failure")
    def failure(id: str) -> Response:  # noqa: A002
        """The line that tells why a task failed, `null` for an empty log."""
        return answer({"line": platform.logs.failure(id)})

    @router.get("/download")
    def whole(id: str) -> Response:  # noqa: A002
        found = platform.task(id)
        headers = {"Content-Disposition": f'attachment; filename="{found.id}.log"'}
        return StreamingResponse(_text(platform, found.id), media_type="text/plain; charset=utf-8", headers=headers)

    return router


def _text(platform: "Platform", id: str) -> Iterator[str]:  # noqa: A002
    """The log up to where it ends now; a training that still writes does not make this endless."""
    chunk = platform.log(id, 0, CHUNK)
    size = chunk.size
    while chunk.text:
        yield chunk.text
        if chunk.end >= size:
            return
        chunk = platform.log(id, chunk.end, CHUNK)
