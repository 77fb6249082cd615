"""REST about what was deleted: `/api/trash`.

curl localhost:8050/api/trash/purge -H 'content-type: application/json' -d '{"ids": ["3d5c…"]}'

Bringing back is `/api/tasks/<id>/restore` and `/api/sweeps/<id>/restore`.
"""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from dash_app.views import answer

if TYPE_CHECKING:
    from minimind_platform import Platform

PAGE_LIMIT = 200
MOST_IDS = 1_000
LAST_OFFSET = 10**9
LONGEST_DAYS = 36_500


class Chosen(BaseModel):
    """Deleted tasks and sweeps."""

    ids: list[str] = Field(min_length=1, max_length=MOST_IDS)


class Older(BaseModel):
    """What of the trash."""

    older_than_days: float = Field(0, ge=0, le=LONGEST_DAYS, description="Deleted so long ago; 0 for all of it.")


def trash_router(platform: "Platform") -> APIRouter:
    """The trash: what is in it, what removing would free and break, and removing."""
    router = APIRouter(prefix="/api/trash", tags=["trash"])
    trash = platform.trash

    @router.get("")
    def page(limit: int = Query(25, ge=1, le=PAGE_LIMIT), offset: int = Query(0, ge=0, le=LAST_OFFSET)) -> Response:
        """What was deleted last, with the bytes that removing it frees and what depends on it."""
        return answer(trash.page(limit, offset))

    @router.get("/cost")
    def cost(id: Annotated[list[str], Query(max_length=MOST_IDS)]) -> Response:  # noqa: A002 - the name in the URL
        """What removing these tasks and sweeps would free, and what depends on them; they need not be deleted yet."""
        return answer(trash.cost(id))

    @router.post("/purge")
    def purge(body: Chosen) -> Response:
        """Remove these for good, in the background. Refused while something that has not ended needs their weights."""
        return answer(trash.purge(body.ids))

    @router.post("/empty")
    def empty(body: Older) -> Response:
        """Remove all for good, in the background. What others need that have not ended is kept, and told."""
        return answer(trash.empty(body.older_than_days))

    @router.post("/go-on")
    def go_on() -> Response:
        """Go on with a removal that was interrupted."""
        return answer(trash.go_on())

    return router
