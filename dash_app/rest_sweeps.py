"""REST for sweeps, under `/api/sweeps`.

    curl localhost:8050/api/sweeps -H 'content-type: application/json' \\
         -d '{"type": "sft", "values": {"data_path": "dataset/my.jsonl"},
              "search": {"learning_rate": {"low": 1e-5, "high": 1e-3, "log": true}}, "options": {"n_trials": 20}}'
"""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from dash_app import space_charts, sweep_charts
from dash_app.rest import LAST_OFFSET, ONE_KEY, PAGE_LIMIT, Settings, texts_of
from dash_app.sweep_views import TrialChanges, sweep_view, trial_view
from dash_app.texts import Texts
from dash_app.views import answer, plain, task_view
from minimind_platform.sweeps.views import SweepState

if TYPE_CHECKING:
    from minimind_platform import Platform
    from minimind_platform.sweeps.views import Sweep, SweepCheck, Trial

CHARTS = ("history", "front", "intermediate", "timeline", "parallel", "importance", "slice", "contour")
ChartName = Literal["history", "front", "intermediate", "timeline", "parallel", "importance", "slice", "contour"]
Objectives = list[str | dict[str, Any]]
MOST_COMPARED = 100
"""Runs that an address can name, and that MLflow's page can show side by side."""


class Search(Settings):
    """What a sweep searches, and how."""

    search: dict[str, Any] | list[str] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    objectives: Objectives = Field(default_factory=list)


class NewSweep(Search):
    """A sweep to begin."""

    name: str = Field("", max_length=200)
    key: str = Field("", max_length=200, description="Two requests with the same key make one sweep.")


class More(BaseModel):
    """What a sweep may do beyond what was planned; what is left out stays."""

    n_trials: int | None = Field(None, description="Trials to add.")
    hours: float | None = Field(None, description="Hours to add.")
    device_hours: float | None = Field(None, description="Device hours to add.")
    parallel: int | None = Field(None, description="Trials at the same time from now on.")


class Excluded(BaseModel):
    """Whether a trial is left out."""

    excluded: bool = True


class OwnTrial(BaseModel):
    """A trial with settings that a person chose."""

    params: dict[str, Any]


class Promotion(BaseModel):
    """A trial to run again as an ordinary task: the best one unless another is named."""

    number: int | None = None
    values: dict[str, Any] = Field(default_factory=dict)
    name: str = Field("", max_length=200)
    key: str = Field("", max_length=200, description=ONE_KEY)


def sweeps_router(platform: "Platform") -> APIRouter:
    """All routes under `/api/sweeps`."""
    router = APIRouter(prefix="/api/sweeps", tags=["sweeps"])
    _add_making_routes(router, platform)
    _add_trial_routes(router, platform)
    _add_reading_routes(router, platform, TrialChanges())
    sweeps = platform.sweeps
    actions: dict[str, Callable[[str], Sweep]] = {
        "stop": sweeps.stop,
        "resume": sweeps.resume,
        "restore": sweeps.restore,
    }
    for name, act in actions.items():
        _add_action(router, name, act)

    @router.delete("/{id}")
    def delete(id: str) -> Response:  # noqa: A002 - the name in the URL
        """Take a sweep and its trials out of the lists. `restore` brings them back."""
        return answer(sweep_view(sweeps.delete(id)))

    return router


def check_view(check: "SweepCheck") -> dict[str, Any]:
    """What is wrong with a sweep, and what it would take."""
    return {
        "problems": plain(check.problems),
        "search": {param.name: plain(param.as_dict()) for param in check.params},
        "combinations": check.combinations,
        "preflight": plain(check.preflight),
    }


def _add_making_routes(router: APIRouter, platform: "Platform") -> None:
    sweeps = platform.sweeps

    @router.get("")
    def page(
        request: Request,
        state: Annotated[list[SweepState], Query()] = [],  # noqa: B006 - FastAPI copies it
        q: str = "",
        deleted: bool = False,
        limit: int = Query(50, ge=1, le=PAGE_LIMIT),
        offset: int = Query(0, ge=0, le=LAST_OFFSET),
    ) -> Response:
        """One page of sweeps, newest first."""
        found = sweeps.page(words=q, states=state, deleted=deleted, limit=limit, offset=offset)
        views = [sweep_view(sweep, False, texts_of(request)) for sweep in found.sweeps]
        return answer({"sweeps": views, "total": found.total, "scheduler": platform.scheduler_alive()})

    @router.post("", status_code=201)
    def create(body: NewSweep) -> Response:
        sweep = sweeps.create(
            body.type,
            body.values,
            body.search,
            name=body.name,
            options=body.options,
            objectives=body.objectives,
            key=body.key,
        )
        return answer(sweep_view(sweep), 201)

    @router.post("/check")
    def check(body: Search) -> Response:
        """What is wrong with a sweep, how many combinations there are, and what one trial takes. Makes nothing."""
        return answer(check_view(sweeps.check(body.type, body.values, body.search, body.options, body.objectives)))

    @router.get("/options")
    def options() -> Response:
        """How a sweep can search: every option with its default and limits."""
        return answer(sweeps.options())

    @router.get("/types/{type}")
    def searchable(type: str) -> Response:  # noqa: A002
        """Of a training type the settings that can be searched, with the usual range, and the metrics it records."""
        found = {name: param and param.as_dict() for name, param in sweeps.proposals(type).items()}
        return answer({"settings": found, "metrics": sweeps.metrics(type)})


def _add_action(router: APIRouter, name: str, act: "Callable[[str], Sweep]") -> None:
    @router.post(f"/{{id}}/{name}", name=f"sweep_{name}")
    def action(id: str) -> Response:  # noqa: A002
        return answer(sweep_view(act(id)))


def _add_trial_routes(router: APIRouter, platform: "Platform") -> None:
    sweeps = platform.sweeps

    @router.post("/{id}/extend")
    def extend(id: str, body: More) -> Response:  # noqa: A002
        """Let a sweep do more than was planned; one that has finished goes on."""
        return answer(sweep_view(sweeps.extend(id, **body.model_dump(exclude_none=True))))

    @router.post("/{id}/trials", status_code=201)
    def add_trial(id: str, body: OwnTrial) -> Response:  # noqa: A002
        """Add a trial with these settings; it goes before those that the sampler chooses."""
        return answer(trial_view(sweeps.add_trial(id, body.params)), 201)

    @router.post("/{id}/trials/{number}/exclude")
    def exclude(id: str, number: int, body: Excluded) -> Response:  # noqa: A002
        """Leave a trial out: it counts neither for the best nor for the sampler. Or take it in again."""
        return answer(trial_view(sweeps.exclude(id, number, body.excluded)))

    @router.post("/{id}/promote", status_code=201)
    def promote(id: str, body: Promotion) -> Response:  # noqa: A002
        """Run a trial again as an ordinary task, with changes."""
        return answer(task_view(sweeps.promote(id, body.number, body.values, name=body.name, key=body.key)), 201)


def _add_reading_routes(router: APIRouter, platform: "Platform", changes: TrialChanges) -> None:
    sweeps = platform.sweeps

    @router.get("/{id}")
    def sweep(id: str) -> Response:  # noqa: A002
        """One sweep with all its trials. The beginning of an id, or the name, is enough."""
        found = sweeps.get(id)
        return answer(sweep_view(found) | {"trials": [trial_view(trial) for trial in sweeps.trials(found.id)]})

    @router.get("/{id}/compare", include_in_schema=False)
    def compare(id: str) -> Response:  # noqa: A002
        """To MLflow's own page with the trials side by side, the newest if there are many."""
        sweep = platform.sweeps.get(id)
        runs = [trial.task_id for trial in platform.sweeps.trials(sweep.id) if trial.task_id][-MOST_COMPARED:]
        if not runs:
            return RedirectResponse(platform.sweeps.run_link(sweep.id))
        shown, place = quote(json.dumps(runs)), quote(json.dumps([sweep.experiment_id]))
        query = f"runs={shown}&experiments={place}&workflowType=machine_learning"
        return RedirectResponse(f"/mlflow/#/compare-runs?{query}")

    @router.get("/{id}/importance")
    def importance(id: str, objective: int = Query(0, ge=0, le=3)) -> Response:  # noqa: A002
        """How much of the differences between the trials each setting explains; empty while too few have ended."""
        return answer(sweeps.importance(id, objective))

    @router.get("/{id}/live")
    def live(request: Request, id: str, since: str = "") -> Response:  # noqa: A002
        """The sweep, and the trials that changed since an earlier answer, whose `since` the request names."""
        found = sweeps.get(id)
        changed, now, whole = changes.since(found.id, sweeps.trials(found.id), since)
        t = texts_of(request)
        views = [trial_view(trial, whole=False, t=t) for trial in changed]
        return JSONResponse(  # the views are plain already, and this is asked once a second
            {
                "sweep": sweep_view(found, with_spec=False, t=t),
                "trials": views,
                "since": now,
                "whole": whole,
                "scheduler": platform.scheduler_alive(),
                "tracking": platform.tracking_alive(),
            },
            headers={"Cache-Control": "no-store"},
        )

    @router.get("/{id}/charts")
    def charts(
        request: Request,
        id: str,  # noqa: A002
        show: Annotated[list[ChartName], Query()],
        x: str = "",
        y: str = "",
        objective: int = Query(0, ge=0, le=3),
        columns: int = Query(4, ge=1, le=6),
    ) -> Response:
        """Charts as Plotly figures, in the language of the request."""
        found = sweeps.get(id)
        t = texts_of(request)
        goal = min(objective, len(found.spec.objectives) - 1)
        made = _Made(found, sweeps.trials(found.id), t, goal)
        shares = sweeps.importance(found.id, goal) if "importance" in show else {}
        return answer({name: made.chart(name, shares, x, y, columns) for name in show})


class _Made:
    """Charts of a sweep."""

    def __init__(self, sweep: "Sweep", trials: "list[Trial]", t: Texts, objective: int) -> None:
        self.sweep, self.trials, self.t, self.objective = sweep, trials, t, objective

    def chart(self, name: str, shares: dict[str, float], x: str, y: str, columns: int) -> sweep_charts.Figure:
        sweep, trials, t, objective = self.sweep, self.trials, self.t, self.objective
        makers: dict[str, Callable[[], sweep_charts.Figure]] = {
            "history": lambda: sweep_charts.history(sweep, trials, t, objective),
            "front": lambda: sweep_charts.front(sweep, trials, t, (0, max(1, objective))),
            "intermediate": lambda: sweep_charts.intermediate(sweep, trials, t),
            "timeline": lambda: sweep_charts.timeline(sweep, trials, t, time.time()),
            "parallel": lambda: space_charts.parallel(sweep, trials, t, objective),
            "importance": lambda: space_charts.importance(shares, t),
            "slice": lambda: space_charts.slices(sweep, trials, t, objective, columns),
            "contour": lambda: space_charts.contour(sweep, trials, t, x, y, objective),
        }
        return makers[name]()
