"""REST for many tasks at once.

curl localhost:8050/api/tasks/bulk -H 'content-type: application/json' \\
     -d '{"action": "stop", "ids": ["3f2a91c0", "77c1d2aa"]}'
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from dash_app.views import answer
from minimind_platform.errors import PlatformError, TrainerError
from minimind_platform.tasks import Task

if TYPE_CHECKING:
    from minimind_platform import Platform

MOST_AT_ONCE = 500
Action = Literal["stop", "resume", "archive", "unarchive", "delete", "restore"]


class Many(BaseModel):
    """What shall be done with which tasks."""

    action: Action
    ids: list[str] = Field(min_length=1, max_length=MOST_AT_ONCE, description="Each counts once.")


def bulk_router(platform: "Platform") -> APIRouter:
    """The route for many tasks."""
    router = APIRouter(prefix="/api", tags=["tasks"])
    actions: dict[Action, Callable[[str], Task]] = {
        "stop": platform.stop,
        "resume": platform.resume,
        "archive": platform.archive,
        "unarchive": platform.unarchive,
        "delete": platform.delete,
        "restore": platform.restore,
    }

    @router.post("/tasks/bulk")
    def bulk(body: Many) -> Response:
        """Do the same with many tasks. One that fails does not keep the others from it; each has its own result."""
        results = [_one(actions[body.action], id) for id in dict.fromkeys(body.ids)]  # noqa: A001
        done = sum(result["ok"] for result in results)
        return answer({"results": results, "done": done, "failed": len(results) - done})

    return router


def _one(act: Callable[[str], Task], id: str) -> dict[str, Any]:  # noqa: A002
    try:
        task = act(id)
    except (PlatformError, TrainerError) as error:
        return {"id": id, "ok": False, "error": error.message, "hint": error.hint}
    return {"id": task.id, "ok": True, "name": task.name, "state": task.state}
