"""REST under `/api`: all that the pages can do, for scripts and for the pages' own scripts.

    curl localhost:8050/api/tasks -H 'content-type: application/json' \\
         -d '{"type": "pretrain", "values": {"data_path": "dataset/my.jsonl", "epochs": 1}}'

The description in OpenAPI's format is at `/api/openapi.json`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from dash_app.live import LiveRequest, live_delta
from dash_app.texts import Texts, pick_texts
from dash_app.views import answer, packed, plain, task_view
from minimind_platform import attempts_of
from minimind_platform.errors import (
    ConflictError,
    DatabaseUnavailableError,
    NotFoundError,
    PlatformError,
    Problem,
    SettingsError,
    TrackingUnavailableError,
    TrainerError,
)
from minimind_platform.tasks import Task

if TYPE_CHECKING:
    from minimind_platform import Platform

PAGE_LIMIT = 200
LAST_OFFSET = 10**9
FORCE = "Go on even if the data has changed since the checkpoint."
ONE_KEY = "Two submissions with the same key make one task."
STATUS = {NotFoundError: 404, ConflictError: 409, TrackingUnavailableError: 503, DatabaseUnavailableError: 503}


class Settings(BaseModel):
    """A training type and settings by field name; what is left out has its default."""

    type: str
    values: dict[str, Any] = Field(default_factory=dict)


class Submission(Settings):
    """A task to put into the queue."""

    name: str = Field("", max_length=200)
    priority: int = 0
    key: str = Field("", max_length=200, description=ONE_KEY)
    parent_id: str = ""


def add_error_handlers(app: FastAPI) -> None:
    """Errors that people can act on become answers with `error` and `hint`, or `problems`."""

    @app.exception_handler(PlatformError)
    def platform_error(_request: Request, error: PlatformError) -> JSONResponse:
        return answer({"error": error.message, "hint": error.hint}, STATUS.get(type(error), 400))

    @app.exception_handler(TrainerError)
    def trainer_error(request: Request, error: TrainerError) -> JSONResponse:
        if isinstance(error, SettingsError):
            return answer({"error": error.message, "problems": told_problems(request, error.problems)}, 422)
        return answer({"error": error.message, "hint": error.hint}, 400)

    @app.exception_handler(RequestValidationError)
    def request_error(_request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [
            {"field": ".".join(str(part) for part in item["loc"][1:]), "code": item["type"], "message": item["msg"]}
            for item in error.errors()
        ]
        return answer({"error": "The request is not as documented.", "problems": problems}, 422)


def texts_of(request: Request) -> Texts:
    """The language of a browser; scripts, which name none, get English."""
    return pick_texts(request.cookies.get("lang"), request.headers.get("accept-language"))


def told_problems(request: Request, problems: list[Problem]) -> list[Problem]:
    """Problems with their sentences in the language of the request."""
    t = texts_of(request)
    return [replace(problem, message=t.problem(problem)) for problem in problems]


def rest_router(platform: "Platform") -> APIRouter:
    """Routes under `/api` about tasks, settings and models; others are in `rest_….py`."""
    router = APIRouter(prefix="/api")
    _add_task_routes(router, platform)
    _add_reading_routes(router, platform)

    @router.post("/check", tags=["settings"])
    def check(body: Settings) -> Response:
        """What is wrong with settings, and how large and long the training will be. Makes nothing."""
        return answer(platform.check(body.type, body.values))

    @router.get("/training-types", tags=["settings"])
    def training_types() -> Response:
        """The training types with all their fields and defaults."""
        return answer(platform.training_types())

    @router.get("/reward-kinds", tags=["settings"])
    def reward_kinds() -> Response:
        """What a list of rewards can hold: the kinds with their options."""
        return answer(platform.reward_kinds())

    @router.get("/datasets", tags=["data"])
    def datasets() -> Response:
        return answer(platform.datasets())

    @router.get("/models", tags=["data"])
    def models() -> Response:
        """Registered model versions, newest first."""
        return answer(platform.models())

    @router.get("/weights", tags=["data"])
    def weights() -> Response:
        """MiniMind weight files in out/."""
        return answer([{key: v for key, v in plain(w).items() if key != "path"} for w in platform.weight_files()])

    return router


def _add_task_routes(router: APIRouter, platform: "Platform") -> None:
    @router.post("/tasks", tags=["tasks"], status_code=201)
    def submit(body: Submission) -> Response:
        task = platform.submit(
            body.type, body.values, name=body.name, priority=body.priority, key=body.key, parent_id=body.parent_id
        )
        return answer(task_view(task), 201)

    @router.get("/tasks/{id}", tags=["tasks"])
    def task(id: str) -> Response:  # noqa: A002 - the name in the URL
        """One task with all its settings. The beginning of an id is enough if no other task has it."""
        return answer(task_view(platform.task(id)))

    actions: dict[str, Callable[[str], Task]] = {
        "stop": platform.stop,
        "restore": platform.restore,
    }
    for name, act in actions.items():
        _add_action(router, name, act)

    @router.post("/tasks/{id}/resume", tags=["tasks"])
    def resume(id: str, force: bool = Query(False, description=FORCE)) -> Response:  # noqa: A002
        """Let a stopped or failed task go on from its newest checkpoint."""
        return answer(task_view(platform.resume(id, force), with_config=False))

    @router.post("/tasks/{id}/retry", tags=["tasks"])
    def retry(id: str, key: str = Query("", max_length=200, description=ONE_KEY)) -> Response:  # noqa: A002
        """Queue a new task with the same settings."""
        return answer(task_view(platform.retry(id, key), with_config=False))

    @router.delete("/tasks/{id}", tags=["tasks"])
    def delete(id: str) -> Response:  # noqa: A002
        """Take a task out of the lists. `restore` brings it back."""
        return answer(task_view(platform.delete(id), with_config=False))


def _add_action(router: APIRouter, name: str, act: Callable[[str], Task]) -> None:
    @router.post(f"/tasks/{{id}}/{name}", tags=["tasks"], name=name)
    def action(id: str) -> Response:  # noqa: A002
        return answer(task_view(act(id), with_config=False))


def _add_reading_routes(router: APIRouter, platform: "Platform") -> None:
    @router.get("/tasks/{id}/live", tags=["reading"])
    def live(
        request: Request,
        id: str,  # noqa: A002
        since: str = "",
        offset: int = -1,
        keys: str = "",
        marks: int = Query(0, ge=0),
    ) -> Response:
        """All that is new about a task since the last call: numbers, points of the curves, lines of the log.

        `keys`, `since` and the curves are as in `/api/runs/<id>/curves`, the marks as in `/marks`, where `marks` is the
        number of those that the asker has. `offset` is the `end` of the last log chunk, -1 for the tail.
        """
        return packed(request, live_delta(platform, LiveRequest(id, keys, since, marks, offset)))

    @router.get("/tasks/{id}/events", tags=["reading"])
    def events(id: str) -> Response:  # noqa: A002
        """The history of a task: every move between states, with its reason."""
        return answer(platform.events(id))

    @router.get("/tasks/{id}/attempts", tags=["reading"])
    def attempts(id: str) -> Response:  # noqa: A002
        """The attempts of a task: when, how each ended, its error class, and the settings that were changed for it."""
        return answer(attempts_of(platform.events(id)))

    @router.get("/tasks/{id}/checkpoints", tags=["reading"])
    def checkpoints(id: str) -> Response:  # noqa: A002
        return answer(platform.checkpoints(id))
