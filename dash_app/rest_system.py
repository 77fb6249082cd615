"""REST about this machine: `/api/system`.

curl localhost:8050/api/system
"""

from typing import TYPE_CHECKING

from fastapi import APIRouter, Query
from fastapi.responses import Response

from dash_app.views import answer

if TYPE_CHECKING:
    from minimind_platform import Platform

SINCE = "`t` of an earlier answer: the history comes from after it."


def system_router(platform: "Platform") -> APIRouter:
    """What this machine does, and what a person should look at."""
    router = APIRouter(prefix="/api/system", tags=["system"])

    @router.get("")
    def system(since: float = Query(0.0, ge=0, allow_inf_nan=False, description=SINCE)) -> Response:
        """Devices, disk, slots, queue, tasks and processes, at most two seconds old, and the last ten minutes."""
        return answer(platform.machine.now(since))

    @router.get("/warnings")
    def warnings() -> Response:
        """Full disks and idle GPUs, at most half a minute old."""
        return answer(platform.machine.warnings())

    return router
