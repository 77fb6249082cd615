"""REST about data and background jobs: `/api/data/…` and `/api/jobs`.

curl localhost:8050/api/data/stats -H 'content-type: application/json' -d '{"path": "dataset/my.jsonl"}'
curl localhost:8050/api/jobs/0123456789abcdef
"""

from typing import TYPE_CHECKING

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from dash_app.views import answer

if TYPE_CHECKING:
    from minimind_platform import Platform

MOST_ROWS = 50
LAST_ROW = 10**9
LONGEST_SEQ = 32_768
LENGTH = "Tokens at which rows are cut; 0 for the default."
TYPE = "Training type that the rows are read for; empty for the format that the first rows have."


class StatsRequest(BaseModel):
    """Which statistics are wanted."""

    path: str = Field(description="A data file, as in data_path.")
    type: str = Field("", description=TYPE)
    max_seq_len: int = Field(0, ge=0, le=LONGEST_SEQ, description=LENGTH)
    again: bool = Field(False, description="Begin anew if it failed or was cancelled.")


def data_router(platform: "Platform") -> APIRouter:
    """Statistics, previews, downloads from the hub, and the jobs behind them."""
    router = APIRouter(prefix="/api")

    @router.post("/data/stats", tags=["data"])
    def stats(body: StatsRequest) -> Response:
        """Statistics of a data file, as a job: the same request is the same job until the file changes."""
        return answer(platform.data_stats(body.path, body.type, body.max_seq_len, body.again))

    @router.get("/data/preview", tags=["data"])
    def preview(
        path: str,
        type: str = Query("", description=TYPE),  # noqa: A002 - the name in the URL
        max_seq_len: int = Query(0, ge=0, le=LONGEST_SEQ, description=LENGTH),
        start: int = Query(0, ge=0, le=LAST_ROW),
        rows: int = Query(5, ge=1, le=MOST_ROWS),
    ) -> Response:
        """Rows as a training sees them, in pieces that count for the loss or do not."""
        return answer(platform.data_preview(path, type, max_seq_len, start, rows))

    @router.get("/data/hub", tags=["data"])
    def hub() -> Response:
        """What can be fetched from the Hugging Face hub, with what is there and what is under way. Asks nobody."""
        return answer(platform.hub_entries())

    @router.post("/data/hub/{name}", tags=["data"])
    def fetch(name: str) -> Response:
        """Fetch something from the hub, as a job; goes on with what an earlier try has brought."""
        return answer(platform.hub_fetch(name))

    @router.get("/jobs", tags=["jobs"])
    def jobs(kind: str = "") -> Response:
        """Background jobs, newest first, without their results."""
        return answer(platform.jobs(kind))

    @router.get("/jobs/{id}", tags=["jobs"])
    def job(id: str) -> Response:  # noqa: A002 - the name in the URL
        """One job; `result` when it is done."""
        return answer(platform.job(id))

    @router.post("/jobs/{id}/cancel", tags=["jobs"])
    def cancel(id: str) -> Response:  # noqa: A002
        """Ask a job to end. What a download has brought so far stays."""
        return answer(platform.cancel_job(id))

    @router.delete("/jobs/{id}", tags=["jobs"])
    def remove(id: str) -> Response:  # noqa: A002
        """Forget a job that has ended."""
        platform.remove_job(id)
        return answer({"id": id})

    return router
