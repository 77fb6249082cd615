"""REST for comparisons: what is known of runs, their curves in one answer, and runs to add.

curl 'localhost:8050/api/compare?ids=<run_id>,<run_id>'
curl 'localhost:8050/api/compare/runs?q=sft'
"""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from dash_app.rest_curves import curve_views, parse_since, some_keys
from dash_app.views import answer, packed, plain

if TYPE_CHECKING:
    from minimind_platform import Platform

MOST_WORDS = 200


class Asked(BaseModel):
    """Which curves of which runs a page wants."""

    ids: list[str]
    keys: list[str]
    since: dict[str, str] = Field(default_factory=dict)
    """By run what the page has, as `/api/runs/{id}/curves` wants to hear it."""


def compare_router(platform: "Platform") -> APIRouter:
    """All routes under `/api/compare`."""
    router = APIRouter(prefix="/api/compare", tags=["reading"])

    @router.get("")
    def compare(request: Request, ids: str = Query(description="Runs, separated by commas; at most 20.")) -> Response:
        """Runs with their settings and metrics, and the path to the same comparison in MLflow's pages."""
        found = platform.comparisons.of(split_ids(ids))
        runs = [plain(run.facts) | {"state": run.state, "keys": run.keys} for run in found.runs]
        return packed(request, {"runs": runs, "missing": found.missing, "link": found.link})

    @router.post("/curves")
    def curves(request: Request, body: Asked) -> Response:
        """Curves by run, those that are new; `pending` says that some are still being read, so ask again."""
        keys = some_keys(body.keys)
        since = {run_id: parse_since(text) for run_id, text in body.since.items()}
        found = platform.comparisons.curves(body.ids, keys, since)
        runs: dict[str, Any] = {run_id: curve_views(one.parts) for run_id, one in found.items()}
        pending = any(one.pending for one in found.values())
        return packed(request, {"runs": runs, "pending": pending, "tracking": platform.tracking_alive()})

    @router.get("/runs")
    def runs(q: str = Query("", max_length=MOST_WORDS)) -> Response:
        """Tasks and runs of others by name, the newest first."""
        return answer({"runs": platform.comparisons.find(q)})

    return router


def split_ids(text: str) -> list[str]:
    """Runs of an address."""
    return [run_id for run_id in text.split(",") if run_id]
