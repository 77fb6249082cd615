"""The whole web application around one `Platform`.

app = create_app(Platform())      # an ASGI application, for uvicorn
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from fastapi.responses import RedirectResponse, Response

from dash_app.downloads import download_router
from dash_app.guard import Guard
from dash_app.proxy import mlflow_router
from dash_app.rest import add_error_handlers, rest_router
from dash_app.rest_bulk import bulk_router
from dash_app.rest_compare import compare_router
from dash_app.rest_curves import curves_router
from dash_app.rest_data import data_router
from dash_app.rest_form import form_router
from dash_app.rest_lists import lists_router
from dash_app.rest_log import log_router
from dash_app.rest_samples import samples_router
from dash_app.rest_sweeps import sweeps_router
from dash_app.rest_system import system_router
from dash_app.rest_trash import trash_router
from dash_app.statics import Statics
from dash_app.texts import LANGUAGES
from dash_app.ui import BUNDLES, create_ui
from dash_app.views import answer

if TYPE_CHECKING:
    from minimind_platform import Platform

YEAR = 365 * 24 * 3600
WEB_THREADS = 16


def create_app(platform: "Platform") -> FastAPI:
    """REST, downloads, MLflow's UI and the pages, behind the guard."""
    app = FastAPI(title="MiniMind Platform", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    add_error_handlers(app)
    app.include_router(rest_router(platform))
    app.include_router(lists_router(platform))
    app.include_router(bulk_router(platform))
    app.include_router(curves_router(platform))
    app.include_router(compare_router(platform))
    app.include_router(data_router(platform))
    app.include_router(form_router(platform))
    app.include_router(log_router(platform))
    app.include_router(samples_router(platform))
    app.include_router(sweeps_router(platform))
    app.include_router(trash_router(platform))
    app.include_router(system_router(platform))
    app.include_router(download_router(platform))
    app.include_router(mlflow_router(platform.settings.tracking))
    _add_small_routes(app)
    ui = create_ui(platform)
    app.mount("/", Statics(WSGIMiddleware(ui.server, workers=WEB_THREADS), BUNDLES.all()))  # type: ignore[arg-type]
    app.add_middleware(Guard, allowed_hosts=platform.settings.allowed_hosts, script_hashes=tuple(ui.csp_hashes()))
    return app


def _add_small_routes(app: FastAPI) -> None:
    @app.get("/healthz", include_in_schema=False)
    def health() -> Response:
        return answer({"status": "ok"})

    @app.get("/", include_in_schema=False)
    def home() -> Response:
        return RedirectResponse("/tasks", 307)

    @app.get("/favicon.ico", include_in_schema=False)
    def favicon() -> Response:
        return RedirectResponse("/assets/logo.svg", 301)

    @app.get("/set-lang", include_in_schema=False)
    def set_language(l: str = "", next: str = "/tasks") -> Response:  # noqa: A002, E741 - names in the URL
        response = RedirectResponse(local_path(next), 303)
        if l in LANGUAGES:
            response.set_cookie("lang", l, max_age=YEAR, samesite="lax", httponly=True)
        return response

    @app.api_route("/api/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    def unknown(path: str) -> Response:
        return answer({"error": f"There is no /api/{path}.", "hint": "See /api/openapi.json."}, 404)


def local_path(target: str) -> str:
    """Where to go after a language change: a path of ours, whatever the link says."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/tasks"
    odd = "\\" in target or any(ord(char) < 32 for char in target)
    if odd or parts.scheme or parts.netloc or not target.startswith("/") or target.startswith("//"):
        return "/tasks"
    return target
