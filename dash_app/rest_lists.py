"""REST for the list of tasks: its pages, what is put away from it, and the order of what waits.

curl 'localhost:8050/api/tasks?sort=loss&descending=false&state=FINISHED&trials=false'
curl localhost:8050/api/tasks/3f2a91c0/priority -H 'content-type: application/json' -d '{"place": "first"}'
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from dash_app.rest import LAST_OFFSET, PAGE_LIMIT
from dash_app.shared_answers import SharedAnswers
from dash_app.views import answer, row_view, task_view
from minimind_platform.errors import PlatformError
from minimind_platform.tasks import State

if TYPE_CHECKING:
    from minimind_platform import Platform

Sort = Literal["created", "started", "duration", "name", "state", "type", "progress", "loss", "priority", "turn"]


class Order(BaseModel):
    """Where a queued task shall stand: one of the three."""

    priority: int | None = Field(None, description="Higher goes first; ten minutes of waiting are worth one point.")
    place: Literal["first", "up", "down", "last"] | None = None
    before: str | None = Field(None, description="Id of the queued task that it shall go before.")


def lists_router(platform: "Platform") -> APIRouter:
    """The routes of the list of tasks."""
    router = APIRouter(prefix="/api", tags=["tasks"])
    shared = SharedAnswers(lambda: (platform.changes(), platform.scheduler_alive()))

    @router.get("/tasks")
    def tasks(
        request: Request,
        state: Annotated[list[State], Query()] = [],  # noqa: B006 - FastAPI copies it
        type: Annotated[list[str], Query()] = [],  # noqa: A002, B006 - the name in the URL
        q: str = "",
        deleted: bool = False,
        archived: bool = Query(False, description="Those that are archived instead."),
        trials: bool = Query(True, description="Trials of sweeps too."),
        sweep: str = Query("", description="Only trials of this sweep."),
        until: float | None = Query(None, description="Only tasks made up to then, in seconds since 1970."),
        sort: Sort = "created",
        descending: bool = True,
        limit: int = Query(50, ge=1, le=PAGE_LIMIT),
        offset: int = Query(0, ge=0, le=LAST_OFFSET),
    ) -> Response:
        """One page of tasks, newest first, with the number of tasks in each state.

        An `ETag` comes with it: who sends it back as `If-None-Match` gets 304 while nothing has changed.
        """
        asked: dict[str, Any] = {
            "states": tuple(state),
            "types": tuple(type),
            "words": q,
            "deleted": deleted,
            "archived": archived,
            "trials": trials,
            "sweep_id": sweep,
            "until": until,
            "sort": sort,
            "descending": descending,
            "limit": limit,
            "offset": offset,
        }

        def make() -> dict[str, Any]:
            page = platform.tasks(**asked)
            rows = [row_view(task, page.turns.get(task.id, 0)) for task in page.tasks]
            alive = platform.scheduler_alive()
            return {"tasks": rows, "total": page.total, "counts": page.counts, "scheduler": alive}

        return shared.respond(tuple(asked.items()), make, request.headers)

    @router.post("/tasks/{id}/archive")
    def archive(id: str) -> Response:  # noqa: A002 - the name in the URL
        """Put an ended task away from the usual lists; `unarchive` brings it back."""
        return answer(task_view(platform.archive(id), with_config=False))

    @router.post("/tasks/{id}/unarchive")
    def unarchive(id: str) -> Response:  # noqa: A002
        return answer(task_view(platform.unarchive(id), with_config=False))

    @router.get("/tasks/{id}/turn")
    def turn(id: str) -> Response:  # noqa: A002
        """Priority and place of a queued task, and how many wait; place 0 for one that does not wait."""
        task = platform.task(id)
        queue = platform.queue
        return answer({"priority": task.priority, "turn": queue.place_of(task.id), "waiting": queue.length()})

    @router.post("/tasks/{id}/priority")
    def priority(id: str, body: Order) -> Response:  # noqa: A002
        """Change the priority of a queued task, or its place in the queue."""
        given = [value for value in (body.priority, body.place, body.before) if value is not None]
        if len(given) != 1:
            raise PlatformError(f"Give one of priority, place and before, got {len(given)} of them.")
        queue = platform.queue
        if body.priority is not None:
            task = queue.set_priority(id, body.priority)
        elif body.place is not None:
            task = queue.place(id, body.place)
        else:
            task = queue.put_before(id, body.before or "")
        return answer(task_view(task, with_config=False) | {"turn": queue.place_of(task.id)})

    return router
